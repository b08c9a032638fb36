"""The schedule of steps, with artificial times."""

import pytest

from il_ros.sim.pacing import Pace, Pacing

REAL = Pace(period_s=0.05)
LOCKSTEP = Pace(period_s=0.05, speed=0.0, lockstep=True, timeout_s=1.0)


def started(pace, stamp_ns=100, now_s=10.0):
    pacing = Pacing(pace, now_s)
    pacing.restart(stamp_ns, now_s)
    return pacing


def test_in_real_time_a_step_is_due_one_period_after_the_last():
    pacing = started(REAL)
    assert pacing.wait_s(10.0) == pytest.approx(0.05)
    assert pacing.wait_s(10.05) == 0.0
    assert pacing.step(10.05)
    assert pacing.wait_s(10.06) == pytest.approx(0.04)


def test_small_lateness_does_not_accumulate():
    pacing = started(REAL)
    for k in range(1, 101):
        pacing.step(10.0 + 0.05 * k + 0.02)
    assert pacing.wait_s(15.02) == pytest.approx(0.03)  # due at 10 + 101 * 0.05
    assert pacing.late_steps == 0


def test_missed_steps_are_counted_and_not_made_up_for():
    pacing = started(REAL)
    pacing.step(10.12)  # due at 10.05, the next at 10.10
    assert pacing.late_steps == 1
    assert pacing.wait_s(10.12) == pytest.approx(0.05)


@pytest.mark.parametrize(("speed", "interval_s"), [(2.0, 0.025), (0.5, 0.1), (0.0, 0.0)])
def test_speed_scales_the_interval_and_zero_is_as_fast_as_possible(speed, interval_s):
    pacing = started(Pace(0.05, speed))
    assert pacing.wait_s(10.0) == pytest.approx(interval_s)
    pacing.step(20.0)
    assert pacing.wait_s(20.0) == pytest.approx(interval_s)


def test_as_fast_as_possible_is_never_late():
    pacing = started(Pace(0.05, 0.0))
    for now_s in (11.0, 13.0, 40.0):
        pacing.step(now_s)
    assert pacing.late_steps == 0


def test_lockstep_waits_for_every_answer_to_the_current_frame():
    pacing = started(Pace(0.05, 0.0, lockstep=True, timeout_s=1.0, answers=frozenset({"policy", "expert"})))
    pacing.frame(200, 10.0)
    pacing.answer("expert", 200)
    pacing.answer("policy", 150)  # for an older frame
    pacing.decision(200, sent=False)
    assert not pacing.answered
    assert pacing.unanswered == "an answer on policy"
    pacing.answer("policy", 200)
    assert pacing.answered
    pacing.frame(250, 10.1)
    pacing.decision(250, sent=False)
    assert not pacing.answered  # answers to the previous frame do not count


def test_lockstep_steps_at_the_decision_for_its_frame():
    pacing = started(LOCKSTEP)
    pacing.frame(200, 10.0)
    assert pacing.wait_s(10.0) == pytest.approx(1.0)
    pacing.decision(199, sent=False)  # for an older frame
    assert pacing.wait_s(10.0) == pytest.approx(1.0)
    pacing.decision(200, sent=False)
    assert pacing.wait_s(10.0) == 0.0
    assert pacing.step(10.0)
    assert pacing.timeouts == 0


def test_a_decision_that_arrives_before_its_command_waits_for_it():
    pacing = started(LOCKSTEP)
    pacing.decision(100, sent=True)
    assert pacing.wait_s(10.0) > 0.0
    assert pacing.unanswered == "the command that belongs to the decision"
    pacing.command("cmd_vel")
    assert pacing.wait_s(10.0) == 0.0


def test_it_waits_for_all_topics_commanded_in_the_previous_frame():
    pacing = started(LOCKSTEP)
    pacing.command("arm")
    pacing.command("gripper")
    pacing.decision(100, sent=True)
    pacing.step(10.0)
    pacing.frame(200, 10.0)
    pacing.command("arm")
    pacing.decision(200, sent=True)
    assert not pacing.answered
    pacing.command("gripper")
    assert pacing.answered


def test_it_waits_once_for_a_topic_that_is_no_longer_commanded():
    pacing = started(LOCKSTEP)
    pacing.command("arm")
    pacing.command("gripper")
    pacing.step(11.0)
    pacing.frame(200, 11.0)
    pacing.command("arm")
    pacing.decision(200, sent=True)
    assert not pacing.step(12.0)
    pacing.frame(300, 12.0)
    pacing.command("arm")
    pacing.decision(300, sent=True)
    assert pacing.answered


def test_an_answer_to_one_frame_does_not_count_for_the_next():
    pacing = started(LOCKSTEP)
    pacing.command("cmd_vel")
    pacing.decision(100, sent=True)
    pacing.step(10.0)
    pacing.frame(200, 10.0)
    assert not pacing.answered


def test_a_frame_without_an_answer_is_counted_and_stepped_at_the_time_out():
    pacing = started(LOCKSTEP)
    assert pacing.wait_s(10.75) == pytest.approx(0.25)
    assert pacing.wait_s(11.0) == 0.0
    assert not pacing.step(11.0)
    assert pacing.timeouts == 1


def test_lockstep_with_a_speed_waits_for_both():
    pacing = started(Pace(0.05, 1.0, lockstep=True, timeout_s=1.0))
    pacing.decision(100, sent=False)
    assert pacing.wait_s(10.01) == pytest.approx(0.04)  # answered, not yet due
    pacing.step(10.05)
    pacing.frame(200, 10.05)
    assert pacing.wait_s(10.2) == pytest.approx(0.85)  # due, not yet answered
    pacing.decision(200, sent=False)
    assert pacing.wait_s(10.2) == 0.0


def test_the_time_of_a_reset_is_not_lateness():
    pacing = started(REAL)
    pacing.restart(300, 17.0)
    assert pacing.wait_s(17.0) == pytest.approx(0.05)
    pacing.step(17.05)
    assert pacing.late_steps == 0


def test_a_pause_is_not_lateness_and_an_answer_during_it_counts():
    pacing = started(LOCKSTEP)
    pacing.resume(50.0)
    assert pacing.wait_s(50.0) == pytest.approx(1.0)
    pacing.decision(100, sent=False)
    pacing.resume(90.0)
    assert pacing.wait_s(90.0) == 0.0
    assert pacing.timeouts == 0


def test_a_new_speed_applies_from_now():
    pacing = started(REAL)
    pacing.change(Pace(0.05, 0.1), 10.01)
    assert pacing.wait_s(10.01) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"period_s": 0.0}, "period_s is 0.0"),
        ({"speed": -1.0}, "speed is -1.0; 1 is real time"),
        ({"speed": float("nan")}, "speed is nan"),
        ({"timeout_s": 0.0}, "timeout_s is 0.0"),
    ],
)
def test_an_invalid_pace_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Pace(**({"period_s": 0.05} | options))
