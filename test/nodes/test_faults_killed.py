"""Processes killed during an episode: the robot stops in time, the bag is complete, the session continues.

The `drive` robot of the embedded simulator turns on the spot in real time under a constant policy. Every node
is a separate process, and one is killed by SIGKILL.
"""

import pytest
from turning_robot import LONG_S, PERIOD_S, SILENCE_S, TIMEOUT_S, TURN, S, turning_robot

from il_ros.core import messages
from il_ros.records.decision import NOBODY
from il_ros.sim.tasks.drive import COMMAND_TIMEOUT_S


@pytest.fixture
def world(graph, tmp_path):
    with turning_robot(graph, tmp_path) as world:
        yield world


def test_a_killed_policy_server_stops_the_robot_in_time_and_drives_again_after_its_restart(world):
    world.kill("policy_server")
    killed_ns = world.decisions[-1].stamp_ns  # on a busy machine the policy may have been late before, too
    world.graph.until(
        lambda: world.decisions[-1].authority == NOBODY and abs(world.turning) < 0.02, "the stop", LONG_S
    )
    world.begin("policy_server")
    world.drives_itself()
    decided, _, commands = world.recorded()
    sent = [(each.sent_ns, each.sent) for each in decided if each.stamp_ns >= world.begun_ns]
    assert [each for each in commands if each in sent] == sent
    gone = next(each for each in decided if each.stamp_ns >= killed_ns and "policy silent for" in each.reason)
    proposed = [each for each in world.decisions if each.proposals.get("policy") is not None]
    last = [each for each in proposed if each.stamp_ns < gone.stamp_ns][-1]
    # the time-out, the watchdog's period, and a period for rounding; a ramp of 0.5 rad/s takes one step
    late = [each for each in decided if gone.generation == each.generation]
    safe_ns = last.sent_ns + round((TIMEOUT_S + SILENCE_S + 2 * PERIOD_S) * S)
    assert all(each.sent == (0.0, 0.0) for each in late if each.sent_ns > safe_ns)
    assert late[0].authority == NOBODY


def test_a_killed_supervisor_stops_the_robot_in_time_and_the_session_continues_after_its_restart(world):
    world.kill("dagger_supervisor")
    world.graph.until(lambda: abs(world.turning) < 0.02, "the stop without a commander", LONG_S)
    before = world.decisions[-1]
    world.begin("dagger_supervisor")
    world.drives_itself()

    def recorded_again():
        """The recorded decisions of the new supervisor, which the recorder may discover later."""
        return [each for each in world.on_disk() if each.stamp_ns > before.stamp_ns + S // 2]

    world.graph.until(
        lambda: any(each.authority == "policy" for each in recorded_again()),
        "the new decisions in the bag",
        LONG_S,
    )
    first_ns = recorded_again()[0].stamp_ns
    decided, odometry, _ = world.recorded(undiscovered=range(before.stamp_ns + 1, first_ns))
    old = [each for each in decided if each.stamp_ns <= before.stamp_ns]
    assert old[-1] == before
    # the controller's time-out; one command without a published decision, one step, one for rounding
    safe_ns = before.sent_ns + round((COMMAND_TIMEOUT_S + 3 * PERIOD_S) * S)
    then = next(each for each in odometry if messages.stamp_ns(each) >= safe_ns)
    assert abs(then.twist.twist.angular.z) < 0.02
    driven = [each for each in decided if each.stamp_ns >= first_ns and each.authority == "policy"]
    assert any(each.sent[1] > 0.0 for each in driven)
    assert all(0.0 <= each.sent[1] <= TURN[1] for each in driven)
