"""Datasets list every episode, and build its arrays once."""

import concurrent.futures
import dataclasses
import os

import made_episodes as made
import numpy as np
import pytest

from il_ros.core import contract as contracts
from il_ros.episodes import layout
from il_ros.episodes.arrays import array_files, cache
from il_ros.episodes.arrays.dataset import Dataset, DatasetError, validation_names
from il_ros.episodes.catalogue import Omission, Selection, look
from il_ros.records.labelling import Rule


def load(folder, contract=made.CONTRACT, **options):
    return cache.Conversion(contract, cache.cache_folder(folder.parent), **options).load(look(folder))


# ---- arrays and their cache


def test_arrays_hold_the_frames_of_the_episode(tmp_path):
    episode = load(made.write(tmp_path, made.recorded(4)))
    np.testing.assert_array_equal(
        episode.observations["joints"], [[0, 0.5, 0.01], [1, 1.5, 0.01], [2, 2.5, 0.01], [3, 3.5, 0.01]]
    )
    assert episode.observations["camera"].shape == (4, 6, 8, 3)
    assert episode.observations["camera"].dtype == np.uint8
    np.testing.assert_array_equal(episode.observations["camera"][:, 2, 3, 1], [0, 1, 2, 3])
    np.testing.assert_array_equal(episode.actions[2], [3, 4, 0.05])
    np.testing.assert_array_equal(episode.ticks_ns, [made.stamp(tick) for tick in range(4)])
    assert episode.period_ns == made.PERIOD_NS
    assert (episode.outcome, episode.task, episode.authority) == ("success", "made_up", ("expert",) * 4)


def test_arrays_hold_takeovers_even_at_ticks_without_frames(tmp_path):
    items = made.recorded(6, decisions=False)
    drivers = ("expert", "policy", "policy", "expert", "expert", "policy")
    items += [made.decision(tick, authority=driver, mode="hg_dagger") for tick, driver in enumerate(drivers)]
    folder = made.write(tmp_path, sorted(items, key=lambda item: item.log_ns))
    for episode in (load(folder), load(folder)):  # built, then loaded from the cache
        np.testing.assert_array_equal(episode.ticks_ns, [made.stamp(tick) for tick in (0, 3, 4)])
        assert episode.takeovers_ns == (made.stamp(3),)


def test_delta_actions_are_relative_to_the_measured_state(tmp_path):
    episode = load(made.write(tmp_path, made.recorded(4)), made.DELTA)
    np.testing.assert_array_equal(episode.actions, np.tile([1, 1.5, 0.05], (4, 1)))
    np.testing.assert_array_equal(episode.commands[3], [4, 5, 0.05])


def test_a_gap_splits_runs_and_its_reason_is_counted(tmp_path):
    items = [item for item in made.recorded(20) if not ("camera" in item.topic and 5 <= _tick(item) < 10)]
    episode = load(made.write(tmp_path, items))
    # tick 4's image serves ticks 5 and 6 (0.1 s old); 7, 8, 9 are missing
    assert [(made.stamp(0) + k * made.PERIOD_NS) for k in (0, 1, 2, 3, 4, 5, 6, *range(10, 20))] == list(
        episode.ticks_ns
    )
    assert episode.runs == (slice(0, 7), slice(7, 17))
    assert list(episode.skipped.values()) == [3]


def _tick(item):
    return (item.log_ns - made.START_NS) // made.PERIOD_NS


def test_text_is_kept_as_strings(tmp_path):
    text = made.TEXT.replace(
        "observations:\n", "observations:\n  say: {topic: say, type: std_msgs/msg/String, max_age_s: .inf}\n"
    )
    texts = [("push", -1), ("push the red block", 2)]
    items = made.recorded(4) + [
        made._recorded("/say", made.STRING, made.messages.make(made.STRING, data=words), made.stamp(tick))
        for words, tick in texts
    ]
    episode = load(made.write(tmp_path, items, text=text), contracts.parse(text, "t"))
    assert list(episode.observations["say"]) == ["push", "push", "push the red block", "push the red block"]


def test_arrays_are_rebuilt_only_when_the_bag_or_the_span_changes(tmp_path, monkeypatch):
    made_count = []
    real = array_files.write
    monkeypatch.setattr(array_files, "write", lambda *args, **by: (made_count.append(1), real(*args, **by)))
    folder = made.write(tmp_path, made.recorded(6))
    load(folder)
    load(folder)
    assert len(made_count) == 1
    os.utime(layout.bag_file(folder), ns=(1, 1))
    load(folder)
    assert len(made_count) == 2
    info = layout.load_info(folder)
    dataclasses.replace(info, started_ns=made.stamp(3)).save(folder)
    assert len(load(folder)) == 3
    dataclasses.replace(info, started_ns=made.stamp(3), outcome="failure").save(folder)
    assert load(folder).outcome == "failure"  # a new outcome does not rebuild the arrays
    assert len(made_count) == 3


def test_each_contract_and_each_rule_has_separate_arrays(tmp_path):
    folder = made.write(tmp_path, made.recorded(4))
    rule = Rule("nothing_but_zero", lambda decision: (0.0, 0.0, 0.0))
    assert load(folder).actions[0, 0] == 1
    assert load(folder, made.DELTA).actions[0, 0] == 1
    assert load(folder, rule=rule).actions[0, 0] == 0
    assert load(folder).actions[0, 0] == 1
    assert len({path.parent.parent for path in (tmp_path / ".cache").rglob("commands.npy")}) == 3


def test_a_damaged_cache_is_rebuilt(tmp_path):
    folder = made.write(tmp_path, made.recorded(4))
    load(folder)
    (path,) = (tmp_path / ".cache").rglob("commands.npy")
    path.write_bytes(path.read_bytes()[:200])
    assert load(folder).actions.shape == (4, 3)


def test_large_arrays_are_memory_mapped_and_none_can_be_edited(tmp_path, monkeypatch):
    monkeypatch.setattr(array_files, "_MAP_FROM_BYTES", 700)
    episode = load(made.write(tmp_path, made.recorded(4)))
    assert isinstance(episode.observations["camera"], np.memmap)
    assert not isinstance(episode.observations["joints"], np.memmap)
    for values in (*episode.observations.values(), episode.commands, episode.offsets, episode.ticks_ns):
        with pytest.raises(ValueError, match="read-only"):
            values[0] = 0


def test_concurrent_loads_build_the_arrays_once(tmp_path):
    folder = made.write(tmp_path, made.recorded(10))
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        lengths = list(pool.map(lambda _: len(load(folder)), range(16)))
    assert lengths == [10] * 16
    group = tmp_path / ".cache" / made.CONTRACT.hash
    assert [path.name for path in group.iterdir() if path.is_dir()] == ["episode_000001"]


def test_a_read_only_root_gives_a_warning_and_a_temporary_cache(tmp_path):
    folder = made.write(tmp_path, made.recorded(4))
    (tmp_path / ".cache").write_text("in the way")
    with pytest.warns(UserWarning, match="can't be written"):
        dataset = Dataset.open(folder.parent, made.CONTRACT)
    assert len(dataset.train[0]) == 4


def test_the_error_of_an_episode_without_frames_gives_the_reasons(tmp_path):
    folder = made.write(
        tmp_path, [item for item in made.recorded(4) if "joint" not in item.topic] + [made.joints(-90)]
    )
    with pytest.raises(array_files.NoFramesError, match=r"no usable frame: joints .*\(4 times\)"):
        load(folder)
    assert not list((tmp_path / ".cache").rglob("*.npy"))


# ---- datasets


def test_every_episode_is_in_the_summary(tmp_path):
    for number in range(1, 8):
        made.write(tmp_path, made.recorded(4), number)
    made.write(tmp_path / "other", made.recorded(1), 1)
    made.write(tmp_path, [made.command("/elsewhere", [1], made.START_NS)], 8)
    made.write(tmp_path, [made.joints(0), made.image(0), made.decision(9)], 9)
    layout.discard(tmp_path / "episode_000003", "bad", "now")
    info = layout.load_info(tmp_path / "episode_000004")
    dataclasses.replace(info, outcome="failure").save(tmp_path / "episode_000004")

    huge = [item for item in made.recorded(4) if item.topic != made.DECISIONS]
    huge += [made.decision(tick, sent=(1e200 if tick else 1.0, 0.0, 0.05)) for tick in range(4)]
    made.write(tmp_path, huge, 10)

    wanted = Selection(outcomes=("success", "unmarked"))
    dataset = Dataset.open(tmp_path, made.CONTRACT, wanted, validation=0.6, validation_most=1)
    summary = dataset.summary
    left_out = dict(summary.left_out)
    assert left_out["episode_000003"] == "discarded: now: bad"
    assert left_out["episode_000004"] == "outcome is failure; wanted: success, unmarked"
    assert left_out["episode_000008"].startswith("doesn't fit contract 'made_up'")  # its name stands before
    assert "no usable frame" in left_out["episode_000009"]
    assert left_out["episode_000010"] == (
        "label of arm/a is 1e+200 in 3 frames, and at most 2e+19 can be learnt from; `il-ros episodes doctor` shows "
        "how to leave them out"
    )
    assert summary.omissions["episode_000010"] is Omission.UNUSABLE
    assert left_out["other"].startswith("broken: holds no bag")
    assert sorted(summary.train + summary.validation) == [f"episode_00000{n}" for n in (1, 2, 5, 6, 7)]
    assert (len(dataset.train), len(dataset.validation)) == (4, 1)
    assert summary.frames == 20
    assert summary.lines()[0] == "5 episodes, 20 frames: 4 to train, 1 to validate"


def test_an_empty_dataset_is_an_error_with_every_reason(tmp_path):
    with pytest.raises(DatasetError, match="no episode can be used\n  the folder holds no episodes"):
        Dataset.open(tmp_path, made.CONTRACT)
    made.write(tmp_path, made.recorded(2), outcome="failure")
    with pytest.raises(DatasetError, match="episode_000001: outcome is failure"):
        Dataset.open(tmp_path, made.CONTRACT, Selection(outcomes=("success",)))
    made.write(tmp_path, made.recorded(2), number=2)
    asked = Selection(names=("episode_000001",), outcomes=("success",))
    with pytest.raises(DatasetError) as error:  # nobody asked for the other one
        Dataset.open(tmp_path, made.CONTRACT, asked)
    assert "episode_000002" not in str(error.value)


def test_a_single_episode_is_used_for_training_with_a_warning(tmp_path):
    made.write(tmp_path, made.recorded(4))
    dataset = Dataset.open(tmp_path, made.CONTRACT)
    assert (len(dataset.train), len(dataset.validation)) == (1, 0)
    assert "only one episode" in dataset.summary.warnings[0]
    warnings = Dataset.open(tmp_path, made.CONTRACT, validation=0).summary.warnings
    assert not any("only one episode" in each for each in warnings)


def test_names_that_do_not_exist_are_reported(tmp_path):
    made.write(tmp_path, made.recorded(4))
    select = Selection(names=("episode_000001", "episode_000099"))
    summary = Dataset.open(tmp_path, made.CONTRACT, select).summary
    assert ("episode_000099", "there is no such episode") in summary.left_out


def test_labels_after_the_success_was_marked_are_cut_and_counted(tmp_path):
    """Marked at tick 4: half a second later, ticks 5 to 14 at 20 Hz are frames, 15 to 19 are not."""
    folder = made.write(tmp_path, made.recorded(20), succeeded_ns=made.stamp(4))
    episode = load(folder)
    np.testing.assert_array_equal(episode.ticks_ns, [made.stamp(tick) for tick in range(15)])
    assert episode.skipped == {"more than 0.5 s after the success was marked": 5}


# ---- the split


def of_equal_size(*names, frames=20):
    return dict.fromkeys(names, frames)


def test_the_split_depends_on_the_seed_and_keeps_episodes_whole():
    names = [f"episode_{n:06d}" for n in range(1, 31)]
    kept = validation_names(of_equal_size(*names), 0.1, seed=0)
    assert len(kept) == 3
    assert kept == validation_names(of_equal_size(*reversed(names)), 0.1, seed=0)
    assert kept != validation_names(of_equal_size(*names), 0.1, seed=1)


def test_a_growing_dataset_never_moves_training_episodes_to_validation_unless_the_share_grows():
    names = [f"episode_{n:06d}" for n in range(1, 100)]
    before = validation_names(of_equal_size(*names[:30]), 0.1, seed=3)
    after = validation_names(of_equal_size(*names[:34]), 0.1, seed=3)  # still three
    assert not (after - before) & set(names[:30])


@pytest.mark.parametrize(
    ("count", "share", "expected"), [(0, 0.1, 0), (1, 0.5, 0), (2, 0.01, 1), (2, 0.99, 1)]
)
def test_both_sides_get_an_episode_where_possible(count, share, expected):
    assert len(validation_names(of_equal_size(*map(str, range(count))), share, 0)) == expected


def test_a_maximum_keeps_the_first_validation_episodes_of_the_same_order():
    names = [f"episode_{n:06d}" for n in range(1, 101)]
    few = validation_names(of_equal_size(*names), 0.1, 0, most=3)
    many = validation_names(of_equal_size(*names), 0.1, 0)
    assert (len(few), len(many)) == (3, 10)
    assert few < many
    equal = of_equal_size(*names[:10])
    assert validation_names(equal, 0.1, 0, most=3) == validation_names(equal, 0.1, 0)


@pytest.mark.parametrize("seed", range(8))
def test_a_take_of_one_frame_is_never_the_training_set(seed):
    """Of 41 frames in two takes, the take of 40 is trained on, whatever the seed."""
    assert validation_names({"long": 40, "one": 1}, 0.1, seed) == {"one"}


@pytest.mark.parametrize("seed", range(8))
def test_the_share_is_of_the_frames(seed):
    """Of 1,000 frames in 9 takes of 100 and 10 of 10, a tenth: one long take, or up to ten short ones."""
    frames = {**of_equal_size(*(f"long{n}" for n in range(9)), frames=100)}
    frames |= of_equal_size(*(f"short{n}" for n in range(10)), frames=10)
    held = sum(frames[name] for name in validation_names(frames, 0.1, seed))
    assert 50 <= held <= 150


def test_most_of_the_frames_in_one_take_leave_nothing_to_validate(tmp_path):
    assert validation_names({"long": 40, "same": 30}, 0.1, 0) == {"same"}
    made.write(tmp_path, made.recorded(9), number=1)
    made.write(tmp_path, made.recorded(3), number=2)
    assert Dataset.open(tmp_path, made.CONTRACT).summary.validation == ("episode_000002",)


def test_all_episodes_of_an_operator_are_held_out_or_none(tmp_path):
    operators = ("ana", "ana", "ben", "ana", "cem", "cem")
    for number, operator in enumerate(operators, 1):
        made.write(tmp_path, made.recorded(4), number=number, operator=operator)
    sides = set()
    for seed in range(12):
        summary = Dataset.open(
            tmp_path, made.CONTRACT, validation=0.2, validation_by="operator", seed=seed
        ).summary
        held = {operators[int(name[-1]) - 1] for name in summary.validation}
        assert held
        assert not held & {operators[int(name[-1]) - 1] for name in summary.train}
        sides |= held
    assert sides == {"ana", "ben", "cem"}


def test_a_split_by_operator_needs_one_of_each_episode_and_more_than_one(tmp_path):
    made.write(tmp_path, made.recorded(4), number=1, operator="ana")
    made.write(tmp_path, made.recorded(4), number=2, operator="ana")
    warnings = Dataset.open(tmp_path, made.CONTRACT, validation_by="operator").summary.warnings
    assert "one operator has most of the frames: all are used for training, none for validation" in warnings
    made.write(tmp_path, made.recorded(4), number=3)
    with pytest.raises(DatasetError, match=r"validation_by: operator: .*episode_000003 has no operator"):
        Dataset.open(tmp_path, made.CONTRACT, validation_by="operator")


# ---- poor takes and failed episodes


def _grade(level, *reasons):
    return layout.Grade(level, reasons)


def test_poor_takes_are_left_out_in_one_line_unless_asked_for(tmp_path):
    made.write(tmp_path, made.recorded(4), number=1, grade=_grade("fair", "/a: 6 of 1000 messages lost"))
    for number, reason in enumerate(("only 0.02 s long", "only 0.13 s long", "disk full"), 2):
        made.write(tmp_path, made.recorded(4), number=number, grade=_grade("poor", reason))
    summary = Dataset.open(tmp_path, made.CONTRACT).summary
    assert summary.train == ("episode_000001",)
    assert [line for line in summary.lines() if "left out" in line] == [
        "  left out 3 poor episodes: only 0.02 s long (2 like it); disk full; --poor uses them"
    ]
    assert summary.omissions == dict.fromkeys(
        ("episode_000002", "episode_000003", "episode_000004"), Omission.POOR
    )
    every = Dataset.open(tmp_path, made.CONTRACT, Selection(poor=True), validation=0).summary
    assert (len(every.train), every.left_out) == (4, ())


def test_when_all_takes_are_poor_the_error_says_how_to_use_them(tmp_path):
    made.write(tmp_path, made.recorded(4), grade=_grade("poor", "only 0.02 s long"))
    with pytest.raises(DatasetError, match="no episode can be used; --poor uses the poor ones\n"):
        Dataset.open(tmp_path, made.CONTRACT)


def test_who_drove_decides_and_not_the_outcome(tmp_path):
    """In a failed episode the policy drove ticks 0 to 2 and the person 3 to 5: those three are learnt."""
    items = made.recorded(6, decisions=False)
    items += [
        made.decision(tick, authority="policy" if tick < 3 else "expert", mode="hg_dagger")
        for tick in range(6)
    ]
    made.write(tmp_path, sorted(items, key=lambda item: item.log_ns), outcome="failure")
    dataset = Dataset.open(tmp_path, made.CONTRACT)
    np.testing.assert_array_equal(dataset.train[0].ticks_ns, [made.stamp(tick) for tick in (3, 4, 5)])
    (note,) = dataset.summary.notes
    assert note.startswith("1 episode failed; the expert's commands in it are learnt as in the others")


def test_a_share_of_one_is_rejected():
    with pytest.raises(ValueError, match="from 0 to below 1, not 1"):
        validation_names({"a": 1, "b": 1}, 1, 0)
