"""Playing chunks: when one is due, what is played, and that the jump at a seam is bounded whatever the delay."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from il_ros.control.chunks import execution
from il_ros.control.chunks.execution import MEASURED, ChunkPlayer, Execution
from il_ros.core import contract

RATE = "name: one\nrate_hz: 20\nobservations:\n"
CONTRACT = contract.parse(
    RATE
    + """  joint: {topic: joint_states, type: sensor_msgs/msg/JointState, names: [a], max_age_s: 1}
actions:
  arm: {topic: arm, type: std_msgs/msg/Float64MultiArray, names: [a], unit: rad, reference: joint, limits: {speed: 9}}
""",
    "one",
)
POSE = contract.parse(
    RATE
    + """  tool: {topic: tool, type: geometry_msgs/msg/PoseStamped, fields: [position, orientation], max_age_s: 1}
actions:
  hand: {topic: hand, type: geometry_msgs/msg/PoseStamped, reference: tool, limits: {speed: 1}}
""",
    "pose",
)
PERIOD, START = CONTRACT.period_ns, 1_000_000_000


def tick(number):
    return START + round(number * PERIOD)


def chunk(*values):
    return np.array(values, float)[:, None]


def player(own=CONTRACT, **settings):
    return ChunkPlayer(own, Execution(**settings))


@pytest.mark.parametrize("every", [1, 3])
def test_a_computation_is_due_after_that_many_ticks(every):
    own, due = player(every=every), []
    for number in range(7):
        due.append(own.due(tick(number)))
        if due[-1]:
            own.begin(tick(number))
            own.add(tick(number), chunk(*range(10)))
    assert due == [number % every == 0 for number in range(7)]


def test_a_chunk_that_ends_is_followed_at_once_and_so_is_one_of_before_a_handover():
    own = player(every=5)
    own.begin(tick(0))
    own.add(tick(0), chunk(0, 1, 2))
    assert [own.due(tick(number)) for number in (1, 2, 3)] == [False, False, True]
    own.add(tick(0), chunk(0, 1, 2))
    own.begin(tick(0))
    assert not own.due(tick(1))
    own.renew()
    assert own.due(tick(1))
    assert own.left(tick(1))[:, 0].tolist() == [1, 2]  # played until the next one is there
    own.add(tick(1), chunk(7, 8))
    assert own.left(tick(2))[:, 0].tolist() == [8]


def test_steps_that_passed_during_the_computation_are_left_out_by_the_ticks_that_passed():
    own = player()
    own.add(tick(0), chunk(0, 1, 2, 3, 4))
    for late in (0, 0.4, 1, 3.3):
        assert own.left(tick(late))[:, 0].tolist() == list(range(round(late), 5))
    assert len(own.left(tick(5))) == 0


def test_ticks_in_which_nothing_was_played_do_not_count():
    own = player()
    own.add(tick(0), chunk(0, 1, 2, 3), tick(2))  # the first one: the robot has held for two ticks
    assert own.left(tick(2))[:, 0].tolist() == [0, 1, 2, 3]
    own.add(tick(3), chunk(11, 12, 13, 14, 15), tick(4))  # the one before goes on until tick 5
    assert own.left(tick(4))[:, 0].tolist() == [12, 13, 14, 15]
    own.add(
        tick(5), chunk(*range(20, 30)), tick(11)
    )  # the one before ended with tick 7: three ticks, 8 to 10
    assert own.left(tick(11))[:, 0].tolist() == [23, 24, 25, 26, 27, 28, 29]
    own.interrupt(tick(12))  # a handover: what was left of it was not played
    own.add(tick(11), chunk(*range(60, 70)), tick(13))  # nor is what was being computed
    own.add(tick(13), chunk(31, 32, 33), tick(15))
    assert own.left(tick(15))[:, 0].tolist() == [31, 32, 33]
    own.interrupt(tick(13))  # the news of a handover comes late: this chunk was of after it
    own.renew()  # another policy: the one before was played until now
    own.add(tick(15), chunk(41, 42, 43), tick(16))
    assert own.left(tick(16))[:, 0].tolist() == [42, 43]
    own.clear()
    own.add(tick(20), chunk(51, 52), tick(22))  # shorter than its computation took
    assert len(own.left(tick(22))) == 0
    own.clear()  # the clock was set back to before the handover
    own.add(tick(1), chunk(61, 62, 63), tick(1))
    own.add(tick(1), chunk(71, 72, 73), tick(2))
    assert own.left(tick(2))[:, 0].tolist() == [72, 73]


def test_a_chunk_that_was_begun_while_the_robot_held_does_not_count_that_either():
    own = player(commit=4)
    own.add(tick(0), chunk(0, 1, 2, 3, 4, 5, 6, 7), tick(3))
    # observed at tick 2, one before the first is played: of the four ticks until it can be there, three have a step
    assert own.committed(tick(2))[:, 0].tolist() == [0, 1, 2]
    own.add(tick(2), chunk(10, 11, 12, 13, 14, 15), tick(6))
    assert own.left(tick(6))[:, 0].tolist() == [13, 14, 15]


def test_an_ensemble_weighs_the_chunks_that_reach_a_tick_from_the_oldest():
    own = player(ensemble=math.log(2))
    own.add(tick(0), chunk(9, 9, 4, 1))
    own.add(tick(1), chunk(9, 8, 7))
    own.add(tick(2), chunk(0, 7))
    # weights 1, 1/2, 1/4: (4 + 4 + 0) / 1.75; (1 + 3.5 + 1.75) / 1.75; the newest has no third step
    assert own.left(tick(2))[:, 0] == pytest.approx([8 / 1.75, 6.25 / 1.75])
    assert own.left(tick(3))[:, 0] == pytest.approx([6.25 / 1.75])
    own.renew()
    own.add(tick(3), chunk(5, 5))
    assert own.left(tick(3))[:, 0].tolist() == [5, 5]


def test_rotations_are_averaged_on_the_sphere_whatever_their_sign():
    own, (sine, cosine) = player(POSE, ensemble=0.0), (math.sin(0.1), math.cos(0.1))
    own.add(tick(0), np.array([[0, 0, 0, 0, 0, sine, cosine]]))
    own.add(tick(0), np.array([[2.0, 0, 0, 0, 0, sine, -cosine]]))  # -0.2 rad, with the other sign
    (mean,) = own.left(tick(0))
    assert abs(mean[6]) == pytest.approx(1.0)
    assert mean[0] == 1.0


def test_the_committed_steps_are_the_next_ones_to_be_played():
    own = player(commit=2)
    assert own.committed(tick(0)).shape == (0, 1)
    own.add(tick(0), chunk(0, 1, 2, 3))
    assert own.committed(tick(1))[:, 0].tolist() == [1, 2]
    assert own.committed(tick(3))[:, 0].tolist() == [3]
    own.renew()  # of before a handover nothing is committed
    assert own.committed(tick(1)).shape == (0, 1)


def test_as_many_steps_are_committed_as_the_computation_takes():
    own = player(commit=MEASURED)
    own.add(tick(0), chunk(0, 1, 2, 3))
    assert own.committed(tick(1)).shape == (0, 1)
    assert own.committed(tick(1), measured=2)[:, 0].tolist() == [1, 2]
    told = player(commit=1)
    told.add(tick(0), chunk(0, 1, 2, 3))
    assert told.committed(tick(1), measured=2)[:, 0].tolist() == [1]


# ---- seams -------------------------------------------------------------------------------------------------

H, SLOPE, ERROR, BLEND = 24, 0.1, 0.5, 5


def wave(step):
    """A motion that changes by less than SLOPE per tick."""
    return 2.0 * np.sin(step * SLOPE / 2)


def answered(done, error, committed):
    """A chunk after `done` steps of a motion: it has a constant error, to which committed steps are led over."""
    steps = done + np.arange(H)
    own = wave(steps) + error
    if len(committed):
        apart = committed[-1, 0] - own[len(committed) - 1]
        later = np.maximum(0, 1 - np.maximum(0, np.arange(H) - len(committed) + 1) / BLEND)
        own = own + apart * later
        own[: len(committed)] = committed[:, 0]
    return own[:, None]


def played(delays_s, errors, jitter, every, commit=0, ticks=60):
    """What is sent at each tick, when computations take `delays_s` in turn and ticks jitter around the grid."""
    own, sent, running, number = player(every=every, commit=commit), [], None, 0
    for step in range(ticks):
        now = tick(step + jitter[step % len(jitter)])
        if running is not None and running[0] <= now:
            own.add(*running[1:], now)
            running = None
        if running is None and own.due(now):
            own.begin(now)
            made = answered(len(sent), errors[number % len(errors)], own.committed(now))
            running, number = (now + delays_s[number % len(delays_s)] * 1e9, now, made), number + 1
            if running[0] <= now:
                own.add(*running[1:], now)
                running = None
        left = own.left(now)
        if len(left):
            sent.append(left[0, 0])
        else:
            assert not sent, "there is no step to play"
    return np.array(sent)


CASES = {
    "delays_s": st.lists(st.floats(0, 0.3), min_size=1, max_size=6),
    "errors": st.lists(st.floats(-ERROR, ERROR), min_size=1, max_size=6),
    "jitter": st.lists(st.floats(-0.2, 0.2), min_size=1, max_size=6),
    "every": st.integers(1, 8),
}


def jump_is_bounded(delays_s, errors, jitter, every):
    """A seam jumps by the policy's own disagreement with itself, never by the delay."""
    sent = played(delays_s, errors, jitter, every)
    assert np.abs(np.diff(sent)).max() <= SLOPE + 2 * ERROR + 1e-9
    same = played(delays_s, [0.0], jitter, every)
    assert np.abs(np.diff(same)).max() <= SLOPE + 1e-9  # one that agrees does not jump at all
    assert same[0] == wave(0)  # nor at the start, from which the robot has not moved


@settings(max_examples=60, deadline=None)
@given(**CASES)
def test_the_jump_at_a_seam_is_bounded_under_any_delay(delays_s, errors, jitter, every):
    jump_is_bounded(delays_s, errors, jitter, every)


@settings(max_examples=60, deadline=None)
@given(**CASES)
def test_a_policy_that_continues_committed_steps_does_not_jump(delays_s, errors, jitter, every):
    """Eight steps are committed, and a computation takes seven at most: the error changes over BLEND steps."""
    sent = played(delays_s, errors, jitter, every, commit=8)
    assert np.abs(np.diff(sent)).max() <= SLOPE + 2 * ERROR / BLEND + 1e-9


def zeros_behind_the_end(steps_left):
    return lambda chunk, *times: steps_left(np.concatenate([chunk[:4], np.zeros((20, 1))]), *times)


def without_compensation(steps_left):
    """A new chunk begins at its first step, whenever it comes (naive queueing)."""
    begun = {}

    def left(chunk, observed_ns, tick_ns, period_ns):
        begun.setdefault(id(chunk), (tick_ns, chunk))
        return steps_left(chunk, begun[id(chunk)][0], tick_ns, period_ns)

    return left


def with_an_estimated_delay(steps_left):
    """The delay is taken to be two ticks more than it was, as after a slow first computation that was counted."""
    return lambda chunk, observed_ns, *times: steps_left(
        chunk, observed_ns - 2 * PERIOD * (observed_ns > START), *times
    )


@pytest.mark.parametrize("fault", [zeros_behind_the_end, without_compensation, with_an_estimated_delay])
def test_a_planted_fault_of_execution_breaks_the_bound(monkeypatch, fault):
    monkeypatch.setattr(execution, "steps_left", fault(execution.steps_left))
    with pytest.raises(AssertionError):
        jump_is_bounded([0.3, 0.12], [0.0, 0.0], [0.0], 4)


def test_settings_that_cannot_be_are_errors():
    with pytest.raises(ValueError, match="every is 0"):
        Execution(every=0)
    with pytest.raises(ValueError, match="ensemble is nan; it must be a finite number"):
        Execution(ensemble=math.nan)
