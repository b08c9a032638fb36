"""Each planted fault is found where it was planted, with the size that it has; clean takes have no finding."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from made_episodes import recorded, write
from made_takes import LAG, NUMBERS, PICTURES, TEXT, TICKS, clean, course, planted, rows, seen, take

from il_ros.cli import main as cli
from il_ros.core import contract
from il_ros.episodes.amendments import Amendments
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.episodes.doctor import numbers
from il_ros.episodes.doctor.comparison import DETOUR_TAKES, detours
from il_ros.episodes.doctor.direction import reversed_labels
from il_ros.episodes.doctor.examination import examine
from il_ros.episodes.doctor.findings import Check, Severity, worst_first
from il_ros.episodes.doctor.takes import TakeSet, unwound
from il_ros.episodes.doctor.timing import shifts


def only(findings, check):
    found = [each for each in findings if each.check is check]
    assert len(found) == 1, [each.what for each in findings]
    return found[0]


def moved_to_one_start(episode):
    """A take moved as a whole, with its commands, to where the first of `clean` starts."""
    first = take(0, NUMBERS)
    by = {key: first.observations[key][0] - values[0] for key, values in episode.observations.items()}
    values = {key: each + by[key] for key, each in episode.observations.items()}
    return dataclasses.replace(episode, observations=values, commands=episode.commands + by["joints"])


@pytest.mark.parametrize("own", [NUMBERS, PICTURES], ids=["numbers", "pictures"])
def test_clean_takes_have_no_finding(own):
    assert [each.what for each in examine(clean(own))] == []


def test_a_continuous_joint_at_the_end_of_its_turn_is_no_fault():
    no_end = "continuous: [a], limits: {lower: [-.inf, -2], upper: [.inf, 2],"
    text = TEXT.replace("limits: {lower: -2, upper: 2,", no_end)
    own = contract.parse(text, "turning.yaml")

    def turned(angles):  # as a driver reports a joint that passes the end of its turn at 0.25
        return np.column_stack([np.remainder(angles[:, 0] - 0.25, 2 * np.pi) - np.pi, angles[:, 1]])

    def at_the_end(episode):
        joints = turned(episode.observations["joints"])
        return dataclasses.replace(seen(episode, "joints", joints), commands=turned(episode.commands))

    wrapped = [at_the_end(each) for each in clean().episodes]
    assert all(np.abs(np.diff(each.commands[:, 0])).max() > 6 for each in wrapped)
    takes = clean()
    takes = dataclasses.replace(takes, contract=own, episodes=tuple(unwound(own, each) for each in wrapped))
    assert [each.what for each in examine(takes)] == []
    np.testing.assert_allclose(
        takes.episodes[0].commands[:, 0] - takes.episodes[0].observations["joints"][:, 0],
        course(0)[LAG:, 0] - course(0)[:TICKS, 0],
        atol=1e-12,
    )


def test_a_leader_arm_17_degrees_off_is_found_with_its_size_and_the_command_that_takes_it_back():
    off = planted(
        clean(), range(10), lambda e: dataclasses.replace(e, commands=e.commands + np.array([0.0, 0.2967]))
    )
    finding = only(examine(off), Check.OFFSET)
    assert finding.severity is Severity.FAULT
    assert "arm/b" in finding.what
    assert "all 10 episodes" in finding.what
    name, _, value = finding.fix[0].rpartition(" ")[2].partition("=")
    assert name == "arm/b"
    assert float(value) == pytest.approx(-0.2967, abs=0.03)  # the lag leaves a little


def test_a_second_amendment_includes_the_first():
    off = planted(clean(), [3], lambda e: dataclasses.replace(e, commands=e.commands + np.array([0.3, 0.0])))
    off = dataclasses.replace(off, amended={"episode_000004": Amendments(offsets={"arm/a": 1.0})})
    (fix, _) = only(examine(off), Check.OFFSET).fix
    assert fix.startswith("il-ros episodes amend root/episode_000004 --offset arm/a=0.7")


def test_joint_states_half_a_second_late_are_found():
    late = planted(
        clean(),
        range(10),
        lambda e: seen(e, "joints", e.observations["joints"][np.maximum(np.arange(TICKS) - 10, 0)]),
    )
    assert "0.60 s late" in only(examine(late), Check.LAG).what  # ten ticks and the robot's own two


@pytest.mark.parametrize("places", [range(10), [2, 5]], ids=["all", "two"])
def test_a_camera_a_fifth_of_a_second_late_is_found(places):
    late = planted(
        clean(PICTURES),
        places,
        lambda e: seen(e, "camera", e.observations["camera"][np.maximum(np.arange(TICKS) - 4, 0)]),
    )
    finding = only(examine(late), Check.SHIFT)
    assert finding.episodes == tuple(f"episode_{place + 1:06d}" for place in places)
    assert float(finding.fix[0].rpartition("=")[2]) == pytest.approx(0.2, abs=0.03)


def test_a_take_four_times_as_long_is_unlike_the_others():
    slow = planted(clean(), [4], lambda e: rows(e, np.repeat(np.arange(TICKS), 4)))
    finding = only(examine(slow), Check.OUTLIER)
    assert finding.episodes == ("episode_000005",)
    assert (
        "it takes 19.9 s, the others 5.0 s (median)" in finding.what
    )  # from the first frame to the last: 399 and 99 ticks


@pytest.mark.parametrize("corrected", [False, True])
def test_a_correction_is_a_part_of_the_task_and_not_compared_with_whole_takes(corrected):
    def short(episode):
        part = rows(episode, np.arange(20, 35))
        return dataclasses.replace(part, takeovers_ns=(int(part.ticks_ns[0]),) if corrected else ())

    found = [each for each in examine(planted(clean(), [4], short)) if each.check is Check.OUTLIER]
    assert [each.episodes for each in found] == ([] if corrected else [("episode_000005",)])


def test_whole_takes_that_all_start_alike_are_named_beside_corrections():
    def late(episode):
        part = rows(moved_to_one_start(episode), np.arange(60, 75))
        return dataclasses.replace(part, takeovers_ns=(int(part.ticks_ns[0]),))

    takes = planted(planted(clean(), range(9), moved_to_one_start), [9], late)
    assert len(only(examine(takes), Check.COVERAGE).episodes) == 9


def test_labels_that_are_mirrored_are_found_without_another_take_in_like_states():
    mirrored = planted(
        clean(), [2, 7], lambda e: dataclasses.replace(e, commands=2 * e.observations["joints"] - e.commands)
    )
    found = [each for each in examine(mirrored) if each.check is Check.REVERSED]
    assert [each.what.partition(":")[0] for each in found] == ["arm/a", "arm/b"]
    assert {each.episodes for each in found} == {("episode_000003", "episode_000008")}
    assert all(each.severity is Severity.FAULT for each in found)


def test_one_joint_that_is_mirrored_in_all_takes_is_found():
    def mirrored(episode):
        commands = episode.commands.copy()
        commands[:, 1] = 2 * episode.observations["joints"][:, 1] - commands[:, 1]
        return dataclasses.replace(episode, commands=commands)

    finding = only(examine(planted(clean(), range(10), mirrored)), Check.REVERSED)
    assert finding.what.startswith("arm/b: the robot moves against its label (correlation -")
    assert "all 10 episodes" in finding.what


def test_a_detour_of_one_joint_is_found():
    def detour(episode):
        out = np.zeros((TICKS, 2))
        out[:, 0] = 0.8 * np.sin(np.linspace(0, np.pi, TICKS))
        joints = episode.observations["joints"] + out
        return dataclasses.replace(seen(episode, "joints", joints), commands=episode.commands + out)

    found = [each for each in examine(planted(clean(), [5], detour)) if each.check is Check.OUTLIER]
    assert {each.episodes for each in found} == {("episode_000006",)}
    assert any("arm/a goes " in each.what and "out of its straight way" in each.what for each in found)


def test_too_few_takes_say_nothing_of_a_detour():
    assert detours(clean(count=DETOUR_TAKES - 1)) == []


TURNING = contract.parse(
    """
name: turning
rate_hz: 20
trigger: scan
observations:
  scan: {topic: scan, type: sensor_msgs/msg/LaserScan, size: 60, max_age_s: 0.2}
actions:
  base: {topic: cmd_vel, type: geometry_msgs/msg/Twist, names: [linear.x, angular.z],
         limits: {speed: 2, acceleration: 10}}
""",
    "turning.yaml",
)


def turning(number):
    """A base that turns in a room as it is commanded; 60 beams (T, 60)."""
    rng = np.random.default_rng(number)
    time = np.arange(160) / 20
    turns = sum(
        rng.uniform(0.3, 0.6) * np.sin(2 * np.pi * hz * time + rng.uniform(0, 6)) for hz in (0.3, 0.55)
    )
    headings = np.concatenate([[0.0], np.cumsum(turns[:-1]) / 20])
    angles = headings[:, None] + 2 * np.pi * np.arange(60) / 60
    return EpisodeArrays(
        name=f"episode_{number + 1:06d}",
        observations={"scan": 2 + 0.2 * np.sin(2 * angles) + 0.15 * np.cos(3 * angles + 1)},
        commands=np.stack([np.full(160, 0.3), turns], axis=1),
        offsets=np.zeros((160, 2)),
        ticks_ns=50_000_000 * np.arange(1, 161),
        period_ns=50_000_000,
    )


def turning_takes():
    episodes = tuple(turning(number) for number in range(10))
    folders = {each.name: Path("root") / each.name for each in episodes}
    return TakeSet(TURNING, episodes, folders, dict.fromkeys(folders, 0.0))


def test_a_scan_that_is_a_quarter_of_a_second_late_in_three_takes_is_found():
    late = planted(
        turning_takes(),
        [1, 4, 8],
        lambda e: seen(e, "scan", e.observations["scan"][np.maximum(np.arange(160) - 5, 0)]),
    )
    assert shifts(turning_takes()) == []
    (finding,) = shifts(late)
    assert finding.episodes == ("episode_000002", "episode_000005", "episode_000009")
    assert float(finding.what.split(" is ")[1].split(" s ")[0]) == pytest.approx(0.25, abs=0.02)


def test_turns_that_are_mirrored_are_found_by_the_scan():
    mirrored = planted(turning_takes(), [3], lambda e: dataclasses.replace(e, commands=-e.commands))
    assert reversed_labels(turning_takes()) == []
    (finding,) = reversed_labels(mirrored)
    assert (finding.episodes, finding.what.partition(":")[0]) == (("episode_000004",), "base/angular.z")


def test_a_copy_of_a_take_is_named_once():
    takes = clean()
    copy = dataclasses.replace(
        takes.episodes[2], name="episode_000008", commands=takes.episodes[2].commands + 1e-5
    )
    finding = only(examine(planted(takes, [7], lambda _: copy)), Check.DUPLICATE)
    assert finding.episodes == ("episode_000008",)
    assert finding.fix == ("il-ros episodes discard root/episode_000008 --reason 'a duplicate'",)


def test_three_seconds_of_waiting_are_left_out_but_for_their_ends():
    waits = planted(
        clean(), [6], lambda e: rows(e, np.r_[np.arange(40), np.full(60, 40), np.arange(40, TICKS)])
    )
    finding = only(examine(waits), Check.IDLE)
    assert finding.episodes == ("episode_000007",)
    start, stop = map(float, finding.fix[0].rpartition(" ")[2].split(":"))
    # still from tick 40 (2.00 s) on; known half a second later, until tick 100; a quarter of a second is kept at each
    # end
    assert (start, stop) == (pytest.approx(2.75, abs=0.1), pytest.approx(4.75, abs=0.1))


def test_a_number_that_stands_still_in_two_takes_is_dead():
    def dead(episode):
        values = episode.observations["object"].copy()
        values[:, 1] = values[0, 1]
        return seen(episode, "object", values)

    finding = only(examine(planted(clean(), [0, 9], dead)), Check.CONSTANT)
    assert finding.what.startswith("object/position.y stands still in episode_000001, episode_000010")


@pytest.mark.parametrize(
    ("step", "still"),
    [
        (4e-18, []),  # the next number after 0.03: a gripper that stays closed in all takes
        (2e-9, []),  # of no unit that is known: half of it is rounding
        (4e-4, [0, 9]),  # the last digit of a leader arm, within the noise floor of rad
    ],
)
def test_a_label_that_differs_by_rounding_or_noise_moves_in_no_take(step, still):
    def rests(episode):
        commands = episode.commands.copy()
        commands[:, 1] = 0.03
        if episode.name not in {f"episode_{number + 1:06d}" for number in still}:
            commands[50:, 1] += step
        return dataclasses.replace(episode, commands=commands)

    assert numbers.dead_numbers(planted(clean(), range(10), rests)) == []


def test_a_label_that_stands_still_in_two_takes_is_dead():
    def rests(episode):
        return dataclasses.replace(episode, commands=episode.commands * [1.0, 0.0])

    (finding,) = numbers.dead_numbers(planted(clean(), [0, 9], rests))
    assert finding.what == (
        "label of arm/b stands still in episode_000001, episode_000010; it moves in most other takes."
    )


def test_a_sensor_that_ends_at_a_value_is_clipped():
    end = np.quantile([take(number, NUMBERS).observations["object"][:, 0].max() for number in range(10)], 0.2)

    def clipped(episode):
        values = episode.observations["object"].copy()
        values[:, 0] = np.minimum(values[:, 0], end)
        return seen(episode, "object", values)

    finding = only(examine(planted(clean(), range(10), clipped)), Check.SATURATED)
    assert finding.what.startswith(f"object/position.x stops at {end:.4g} in ")


def test_a_joint_that_is_clipped_from_the_start_is_told_by_its_labels():
    """It reads 0.2 rad until it gets there, while its commands come from 0."""
    blind = planted(
        clean(), range(10), lambda e: seen(e, "joints", np.maximum(e.observations["joints"], [0.2, -9]))
    )
    finding = only(examine(blind), Check.SATURATED)
    assert finding.what == "joints/position/a stops at 0.2 in all 10 episodes."


def test_a_joint_that_rests_at_its_end_first_is_not_clipped():
    """As a gripper that is open until it is told to close."""

    def opened(values):
        return np.column_stack([values[:, 0], -np.maximum(values[:, 1] - 0.2, 0.0)])

    def change(episode):
        moved = seen(episode, "joints", opened(episode.observations["joints"]))
        return dataclasses.replace(moved, commands=opened(episode.commands))

    rested = planted(clean(), range(10), change)
    assert max(np.count_nonzero(each.observations["joints"][:, 1] == 0) for each in rested.episodes) > 20
    assert Check.SATURATED not in {each.check for each in examine(rested)}


def test_objects_that_start_beyond_the_end_of_a_sensor_are_told_by_their_equal_starts():
    starts = np.array([each.observations["object"][0, 0] for each in clean().episodes])
    low = np.sort(starts)[3] - 1e-3

    def clipped(episode):
        return seen(episode, "object", np.maximum(episode.observations["object"], [low, -9, -9]))

    finding = only(examine(planted(clean(), range(10), clipped)), Check.SATURATED)
    below = {
        each.name: np.count_nonzero(each.observations["object"][:, 0] < low) for each in clean().episodes
    }
    assert finding.episodes == tuple(name for name, count in below.items() if count >= 4)  # 4 % of 100 frames
    assert len(finding.episodes) == 2


def test_a_spike_of_a_number_that_switches_is_a_jump():
    """Its usual step is its whole range, but no usual step is taken back by the next one."""

    def switched(episode):
        values = episode.observations["object"].copy()
        values[:, 2] = np.arange(TICKS) >= 40
        return seen(episode, "object", values)

    def spiked(episode):
        values = episode.observations["object"].copy()
        values[20, 2] += 0.3
        return seen(episode, "object", values)

    takes = planted(clean(), range(10), switched)
    assert Check.JUMP not in {each.check for each in examine(takes)}
    assert only(examine(planted(takes, [3], spiked)), Check.JUMP).episodes == ("episode_000004",)


def test_a_force_that_rises_at_once_where_the_robot_touches_something_is_no_jump():
    line = "  wrench: {topic: wrench, type: geometry_msgs/msg/WrenchStamped, fields: [force], max_age_s: 0.1}\nactions:"
    own = contract.parse(TEXT.replace("actions:", line), "wrench.yaml")

    def touching(episode, newtons):
        force = np.zeros((TICKS, 3))
        force[:, 2] = 0.01 * np.sin(np.arange(TICKS)) + newtons * (np.arange(TICKS) >= 50)
        return seen(episode, "wrench", force)

    takes = clean()
    episodes = [touching(each, 5.0 if place in (2, 7) else 0.3) for place, each in enumerate(takes.episodes)]
    takes = dataclasses.replace(takes, contract=own, episodes=tuple(episodes))
    assert Check.JUMP not in {each.check for each in examine(takes)}


def test_one_wrong_value_of_an_encoder_is_a_jump_at_its_time():
    def jump(episode):
        values = episode.observations["joints"].copy()
        values[30, 0] += 0.5
        return seen(episode, "joints", values)

    finding = only(examine(planted(clean(), [3], jump)), Check.JUMP)
    assert finding.episodes == ("episode_000004",)
    assert finding.what.endswith("within one tick in episode_000004 (at 1.50 s).")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [1e200, -1e200, 1.7e308, 2e19])
@pytest.mark.parametrize("name", ["joints/position/a", "object/position.x", "label of arm/a"])
def test_a_number_that_nothing_can_compute_with_is_named_without_a_warning(name, value):
    """At ticks 30 and 32 of takes 3 and 5, a hundredth smaller in take 5; the first tick is 0 s."""

    def impossible(episode):
        values = episode.commands if name.startswith("label") else episode.observations[name.split("/")[0]]
        values = values.copy()
        values[[30, 32], 0] = value if episode.name == "episode_000004" else value / 1.01
        if name.startswith("label"):
            return dataclasses.replace(episode, commands=values)
        return seen(episode, name.split("/")[0], values)

    finding = only(found := examine(planted(clean(), [3, 5], impossible)), Check.MAGNITUDE)
    assert len(found) == 1
    assert finding.severity is Severity.FAULT
    assert finding.episodes == ("episode_000004", "episode_000006")
    assert finding.what == (
        f"{name} is {value:.3g} in episode_000004, episode_000006 (at 1.50 s of episode_000004; 2 frames there)."
    )
    assert finding.fix == (
        "il-ros episodes amend root/episode_000004 --leave-out 1.475:1.625",
        f"il-ros episodes discard root/episode_000004 root/episode_000006 --reason '{name} is {value:.3g}'",
    )
    assert np.isfinite(finding.picture.lines[0].y).all()
    assert abs(finding.picture.lines[0].y[30]) == pytest.approx(np.log10(abs(value)))


@pytest.mark.filterwarnings("error")
def test_a_number_that_is_only_large_is_a_jump():
    def large(episode):
        values = episode.observations["object"].copy()
        values[30, 0] = 1e19
        return seen(episode, "object", values)

    found = examine(planted(clean(), [3], large))
    assert "object/position.x jumps by 1e+19 within one tick" in only(found, Check.JUMP).what


@pytest.mark.filterwarnings("error")
def test_where_every_take_has_an_impossible_number_nothing_else_is_examined():
    def impossible(episode):
        return dataclasses.replace(episode, commands=np.full((TICKS, 2), 1e200))

    found = examine(planted(clean(), range(10), impossible))
    assert [each.what for each in found] == [
        f"label of arm/{joint} is 1e+200 in all 10 episodes (at 0.00 s of episode_000001; 100 frames there)."
        for joint in "ab"
    ]


def test_an_unused_joint_that_changes_by_rounding_has_no_fault():
    """Its largest step, 1e-7 rad in one take and 1e-9 in the others, is beyond all proportion, but no motion."""

    def resting(episode):
        values = episode.observations["joints"].copy()
        size = {"episode_000002": 1e-7, "episode_000005": 0.0}.get(episode.name, 1e-9)
        values[:, 1] = 0.3 + size * (np.arange(TICKS) % 7 == 3)
        return seen(dataclasses.replace(episode, commands=values), "joints", values)

    found = examine(planted(clean(), range(10), resting))
    assert {Check.JUMP, Check.CONSTANT, Check.SATURATED}.isdisjoint({each.check for each in found})


def test_faster_motion_in_one_take_is_no_jump_but_a_single_step_of_its_size_is():
    """0.3 m within four ticks, six times the largest step of the others; then at once."""

    def moved(ticks):
        def planted_in(episode):
            values = episode.observations["object"].copy()
            values[:, 2] += np.clip((np.arange(TICKS) - 40) / ticks, 0, 1) * 0.3
            return seen(episode, "object", values)

        return planted_in

    slow = planted(clean(), range(10), moved(24))
    assert Check.JUMP not in {each.check for each in examine(planted(slow, [3], moved(4)))}
    finding = only(examine(planted(slow, [3], moved(1))), Check.JUMP)
    assert finding.episodes == ("episode_000004",)
    assert "object/position.z jumps by 0.3" in finding.what


def test_takes_that_all_start_alike_are_named():
    assert (
        only(examine(planted(clean(), range(10), moved_to_one_start)), Check.COVERAGE).severity
        is Severity.CAUTION
    )


def test_labels_that_go_the_other_way_contradict_the_rest():
    takes = clean()
    again = tuple(
        dataclasses.replace(rows(each, range(1, TICKS)), name=f"episode_{place + 11:06d}")
        for place, each in enumerate(takes.episodes)
    )  # so that each state was met twice
    both = dataclasses.replace(
        takes, episodes=takes.episodes + again,
        folders={each.name: Path(each.name) for each in takes.episodes + again},
    )  # fmt: skip
    mirrored = planted(
        both, [5], lambda e: dataclasses.replace(e, commands=2 * e.observations["joints"] - e.commands)
    )
    finding = next(each for each in examine(mirrored) if each.check is Check.DISAGREEMENT)
    assert {"episode_000006", "episode_000016"} & set(
        finding.episodes
    )  # one of the two is wrong, which is not known
    assert len(finding.episodes) <= 2


def test_a_frozen_camera_is_one_whose_picture_stands_while_the_robot_moves():
    def frozen(episode):
        frames = episode.observations["camera"].copy()
        frames[40:60] = frames[40]
        return seen(episode, "camera", frames)

    finding = only(examine(planted(clean(PICTURES), [1], frozen)), Check.FROZEN)
    assert finding.episodes == ("episode_000002",)
    start, stop = map(float, finding.fix[0].rpartition(" ")[2].split(":"))
    assert (start, stop) == (pytest.approx(2.0, abs=0.11), pytest.approx(2.95, abs=0.11))


def test_a_camera_in_the_dark_is_named_and_its_take_excluded():
    dim = planted(clean(PICTURES), [2], lambda e: seen(e, "camera", e.observations["camera"] // 5))
    finding = only(examine(dim), Check.DARK)
    assert finding.episodes == ("episode_000003",)
    assert finding.fix[0].startswith("il-ros episodes discard ")


def test_a_camera_out_of_focus_is_named():
    def soft(episode):
        frames = episode.observations["camera"].astype(np.float32)
        for axis in (1, 2):
            frames = sum(np.roll(frames, step, axis) for step in (-2, -1, 0, 1, 2)) / 5
        return seen(episode, "camera", frames.astype(np.uint8))

    assert only(examine(planted(clean(PICTURES), [8], soft)), Check.BLURRED).episodes == ("episode_000009",)


def test_faults_are_shown_before_cautions():
    both = planted(
        clean(), range(10), lambda e: dataclasses.replace(e, commands=e.commands + np.array([0.3, 0.0]))
    )
    both = planted(both, [6], lambda e: rows(e, np.r_[np.arange(40), np.full(60, 40), np.arange(40, TICKS)]))
    found = examine(both)
    assert [each.severity for each in found] == sorted(
        (each.severity for each in found), key=lambda severity: list(Severity).index(severity)
    )
    assert worst_first(found) == found


def test_the_command_writes_a_page_with_a_picture_and_leaves_the_episodes_as_they_are(tmp_path, capsys):
    root = tmp_path / "episodes"
    for number in range(1, 4):
        write(root, recorded(30), number)
    before = {path: path.read_bytes() for path in sorted(root.glob("episode_*/*"))}
    assert cli.main(["episodes", "doctor", str(root)]) in (0, 1)
    printed = capsys.readouterr().out
    page = tmp_path / "episodes_doctor" / "index.html"
    assert f"written: {page}" in printed
    report = json.loads((page.parent / "report.json").read_text())
    assert report["episodes"] == ["episode_000001", "episode_000002", "episode_000003"]
    assert page.read_text().count("<section") == len(report["findings"])
    assert {path: path.read_bytes() for path in sorted(root.glob("episode_*/*"))} == before


def test_episodes_of_two_contracts_are_not_compared(tmp_path, capsys):
    from made_episodes import TEXT as OTHER

    write(tmp_path, recorded(5), 1)
    write(tmp_path, recorded(5), 2, text=OTHER.replace("rate_hz: 20", "rate_hz: 10"))
    assert cli.main(["episodes", "doctor", str(tmp_path)]) == 1
    assert (
        "episode_000001 and episode_000002 were recorded under different contracts" in capsys.readouterr().err
    )


def test_an_empty_folder_is_one_sentence(tmp_path, capsys):
    assert cli.main(["episodes", "doctor", str(tmp_path)]) == 1
    assert f": {tmp_path}: no episodes" in capsys.readouterr().err


def test_joints_in_degrees_under_a_contract_in_radians_are_named():
    def in_degrees(episode):
        joints = np.degrees(episode.observations["joints"])
        joints[-1] = 30.0, -90.0
        return seen(episode, "joints", joints)

    finding = only(examine(planted(clean(), [3], in_degrees)), Check.UNIT)
    assert finding.episodes == ("episode_000004",)
    assert finding.what == "joints/position/b reaches -90 rad, which looks like degrees, in episode_000004."
    assert "unit: deg" in finding.fix[0]
