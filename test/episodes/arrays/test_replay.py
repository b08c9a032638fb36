"""Frames from a bag equal the live synchroniser's observations."""

import dataclasses

import made_episodes as made
import numpy as np
import pytest

from il_ros.core.synchroniser import Observation, Synchroniser
from il_ros.episodes.arrays.replay import Frame, Skipped, count_reasons, open_replay
from il_ros.episodes.bag.reader import open_bag
from il_ros.episodes.layout import load_info
from il_ros.records.ticks import Ticks, TriggerStamps

MS = made.MS


def replay(folder, contract=made.CONTRACT, **options):
    return list(open_replay(open_bag(folder), contract, load_info(folder), **options))


def frames(outcome):
    return [item for item in outcome if isinstance(item, Frame)]


def test_every_tick_of_an_undisturbed_episode_has_a_frame(tmp_path):
    out = replay(made.write(tmp_path, made.recorded(20)))
    assert [frame.tick_ns for frame in out] == [made.stamp(tick) for tick in range(20)]
    np.testing.assert_array_equal(out[7].observation.values["joints"], [7.0, 7.5, 0.01])
    assert (out[7].observation.values["camera"] == 7).all()
    np.testing.assert_array_equal(out[7].command, [8.0, 9.0, 0.05])
    assert out[7].authority == "expert"


def _disturbed(seed):
    """Return messages of a slow camera, late and out of order, and of fast joints with jitter."""
    rng = np.random.default_rng(seed)
    items = []
    for tick in np.arange(0, 30, 0.5):
        delay_ns = int(rng.integers(0, 24)) * MS
        items.append(made.joints(tick, log_ns=made.stamp(tick) + MS + delay_ns))
    for tick in np.arange(0, 30, 1.5):
        item = made.image(tick)
        items.append(item._replace(log_ns=item.log_ns + int(rng.integers(0, 90)) * MS))
    items += [part for tick in range(30) for part in made.commands(tick)]
    return items


def _live(items, contract):
    """Return a live node's observations: push each message on arrival, sample on each trigger."""
    sync, ticks, stamps = Synchroniser(contract.observations), Ticks(contract.period_ns), TriggerStamps()
    seen = []
    for item in sorted(items, key=lambda item: item.log_ns):
        topic = item.topic.lstrip("/")
        if topic in sync.topics:
            stamp_ns = sync.push(topic, item.raw, item.log_ns)
            if topic != contract.trigger or stamps.refusal(stamp_ns, item.log_ns):
                continue
            if ticks.starts(stamp_ns):
                seen.append(sync.sample(stamp_ns))
    return seen


@pytest.mark.parametrize("seed", range(5))
def test_offline_equals_live_bit_for_bit(tmp_path, seed):
    items = _disturbed(seed)
    live = _live(items, made.CONTRACT)
    # the supervisor decided on each tick that the policy observed
    decisions = [made.decision((item.tick_ns - made.START_NS) / made.PERIOD_NS) for item in live]
    out = replay(made.write(tmp_path, [*items, *decisions], stopped_ns=made.stamp(100)))
    seen = {item.tick_ns: item for item in live if isinstance(item, Observation)}
    assert {frame.tick_ns for frame in frames(out)} == set(seen)
    assert len(seen) > 10
    for frame in frames(out):
        for key, values in seen[frame.tick_ns].values.items():
            assert frame.observation.values[key].tobytes() == values.tobytes()
        assert frame.observation.ages_s == seen[frame.tick_ns].ages_s


def _with_wrong_stamps(items):
    """Two states are stamped at the beginning of time, and one a day ahead; each arrives among the others."""
    day_ns = 86_400 * 1_000_000_000
    wrong = [(6.3, 1), (12.7, made.stamp(12) + day_ns), (19.4, 2)]
    return items + [made.joints(tick, stamp_ns=at_ns, log_ns=made.stamp(tick)) for tick, at_ns in wrong]


@pytest.mark.parametrize("decided", [True, False])
def test_states_with_wrong_stamps_cost_no_other_frame_live_or_offline(tmp_path, decided):
    good = made.recorded(25, decisions=False)
    items = _with_wrong_stamps(good)
    live = _live(items, made.CONTRACT)
    assert [item.tick_ns for item in live] == [made.stamp(tick) for tick in range(25)]
    decisions = [made.decision(tick) for tick in range(25)] if decided else []
    out = replay(made.write(tmp_path, [*items, *decisions], stopped_ns=made.stamp(100)))
    undisturbed = {item.tick_ns: item for item in _live(good, made.CONTRACT)}
    assert [frame.tick_ns for frame in frames(out)] == list(undisturbed)
    for frame, seen in zip(frames(out), live, strict=True):
        for key, values in undisturbed[frame.tick_ns].values.items():
            assert frame.observation.values[key].tobytes() == values.tobytes() == seen.values[key].tobytes()
    reasons = count_reasons(item for item in out if isinstance(item, Skipped))
    assert sum(count for reason, count in reasons.items() if "starts no tick: stamped" in reason) == 3


@pytest.mark.parametrize("seed", range(3))
def test_ticks_without_decisions_are_those_of_a_live_node(tmp_path, seed):
    items = [item for item in _disturbed(seed) if item.log_ns >= made.START_NS]
    live = [item for item in _live(items, made.CONTRACT) if isinstance(item, Observation)]
    out = replay(made.write(tmp_path, items))
    rising = list(dict.fromkeys(item.tick_ns for item in live))
    assert [frame.tick_ns for frame in frames(out)] == rising


def test_ticks_with_a_stale_camera_are_skipped_with_a_reason(tmp_path):
    items = [
        item for item in made.recorded(20) if item.topic != "/camera/image_raw" or item.log_ns < made.stamp(5)
    ]
    out = replay(made.write(tmp_path, items))
    # last image is of tick 4; two ticks later it is 0.1 s old (fine), three ticks later 0.15 s (stale)
    assert [frame.tick_ns for frame in frames(out)] == [made.stamp(tick) for tick in range(7)]
    reasons = count_reasons(item for item in out if isinstance(item, Skipped))
    assert reasons == {
        "camera (camera/image_raw): stale, 0.150 s old at the tick; max_age_s is 0.12": 13,
    }


def test_a_wrong_image_size_skips_the_tick_with_a_reason(tmp_path):
    items = [item for item in made.recorded(6) if item.topic != "/camera/image_raw"]
    items += [made.image(tick, width=9 if tick == 3 else 8) for tick in range(6)]
    out = replay(made.write(tmp_path, items))
    assert [frame.tick_ns for frame in frames(out)] == [made.stamp(tick) for tick in (0, 1, 2, 4, 5)]
    (skipped,) = (item for item in out if isinstance(item, Skipped))
    assert "9" in skipped.reasons[0]
    assert "camera" in skipped.reasons[0]


def test_wrong_joint_names_skip_every_tick_and_name_the_joint(tmp_path):
    items = [item for item in made.recorded(6) if item.topic != "/joint_states"]
    items += [made.joints(tick, names=("a", "elbow", "gripper")) for tick in range(6)]
    out = replay(made.write(tmp_path, items))
    assert frames(out) == []
    assert count_reasons(out) == {
        "joints (joint_states): joint 'b' is missing; the message has: a, elbow, gripper": 6
    }


def test_pre_roll_is_observed_but_gives_no_frame(tmp_path):
    folder = made.write(tmp_path, made.recorded(20), started_ns=made.stamp(10))
    out = replay(folder)
    assert [frame.tick_ns for frame in out] == [made.stamp(tick) for tick in range(10, 20)]


def test_delta_actions_are_offset_by_the_measurement_at_the_tick(tmp_path):
    out = replay(made.write(tmp_path, made.recorded(5)), made.DELTA)
    np.testing.assert_array_equal(out[3].command, [4.0, 5.0, 0.05])
    np.testing.assert_array_equal(out[3].offset, [3.0, 3.5, 0.0])  # the gripper is absolute


def test_an_image_too_short_for_a_header_costs_itself_and_is_named(tmp_path):
    items = made.recorded(5)
    items[2 * 5] = items[2 * 5]._replace(raw=items[2 * 5].raw[:6])
    out = replay(made.write(tmp_path, items))
    assert len(frames(out)) == 5  # the image of tick 1, 50 ms old, is new enough for tick 2
    assert count_reasons(item for item in out if isinstance(item, Skipped)) == {
        "a message of camera/image_raw was left out: 6 bytes cannot hold a sensor_msgs/msg/Image: its "
        "header alone takes 12": 1
    }


def test_a_trigger_message_too_short_for_a_header_costs_its_tick(tmp_path):
    items = made.recorded(5, decisions=False)
    place = next(index for index, item in enumerate(items) if item.topic == "/joint_states")
    items[place] = items[place]._replace(raw=items[place].raw[:6])
    out = replay(made.write(tmp_path, items))
    assert [frame.tick_ns for frame in frames(out)] == [made.stamp(tick) for tick in range(1, 5)]


def test_reasons_that_differ_only_in_decimals_are_counted_together():
    skipped = [
        Skipped(1, ("joints: stale, 0.123 s old",)),
        Skipped(2, ("joints: stale, 0.173 s old", "camera: nothing received")),
        Skipped(3, ("joints: joint1 is missing",)),
        Skipped(4, ("joints: joint2 is missing",)),
    ]
    assert count_reasons(skipped) == {
        "joints: stale, 0.123 s old": 2,
        "camera: nothing received": 1,
        "joints: joint1 is missing": 1,
        "joints: joint2 is missing": 1,
    }


def test_timer_ticks_observe_the_messages_that_arrived_before(tmp_path):
    contract = dataclasses.replace(made.CONTRACT, trigger=None)
    # a decision between two ticks: the newest joints are those of the tick before
    items = [*made.recorded(4), made.decision(2.5, sent=(0.0, 0.0, 0.0))]
    out = replay(made.write(tmp_path, items), contract)
    by_tick = {frame.tick_ns: frame for frame in frames(out)}
    assert by_tick[made.stamp(2.5)].observation.values["joints"][0] == 2.0
    # at tick 2 itself, its joints arrive a millisecond later
    assert by_tick[made.stamp(2)].observation.values["joints"][0] == 1.0
