"""With the real nodes, a block is moved past its goal: the expert gives up and the episode ends."""

import numpy as np

from il_ros.nodes.conductor.node import Conductor
from il_ros.nodes.sim.expert_node import GIVEN_UP, ScriptedExpert
from il_ros.nodes.sim.node import Sim
from il_ros.nodes.supervisor.node import DaggerSupervisor
from il_ros.records import proposal
from il_ros.records.decision import NOBODY, from_json

WAIT_S = 60.0
PATIENT = {f"{name}__timeout_s": WAIT_S for name in ("policy", "expert")}


def test_an_expert_that_gives_up_releases_and_the_episode_ends_soon(graph):
    graph.start(DaggerSupervisor, contract="arm_push", mode="expert", use_sim_time=True, **PATIENT)
    sim = graph.start(
        Sim, task="push", cameras=False, speed=0.0, lockstep=True, lockstep_timeout_s=WAIT_S, paused=True
    )
    expert = graph.start(ScriptedExpert, contract="arm_push", task="push", use_sim_time=True)
    texts = graph.received("dagger_supervisor/decision", "std_msgs/msg/String")
    advice = graph.received("expert/advice", proposal.TYPE)
    joints = graph.received("joint_states", "sensor_msgs/msg/JointState")
    graph.until(lambda: graph.outside.count_publishers("expert/advice"), "the expert's advice")
    conductor = graph.start(Conductor, episodes=1, seed=3, record=False, timeout_s=WAIT_S, use_sim_time=True)
    drove = graph.until(
        lambda: sum(from_json(each.data).authority == "expert" for each in texts) > 10, "the expert driving"
    )
    assert drove
    scene = sim.task.scene
    scene.set_object(scene.goal_m + np.array([0.06, 0.0, 0.02]))
    graph.until(lambda: expert.status().message == GIVEN_UP, "its giving up")
    graph.until(conductor.ended.done, "the conductor's end")
    (trial,) = conductor.trials.done
    assert (trial.outcome, trial.reason) == ("failure", "the expert has given up")
    assert trial.simulated_s < 10.0  # the limit is 20

    graph.until(lambda: advice and not advice[-1].points, "advice without a step")
    decisions = [from_json(each.data) for each in texts]
    last = [each for each in decisions if each.authority == "expert"][-1]
    after = [each for each in decisions if each.stamp_ns > last.stamp_ns]
    assert {each.authority for each in after} == {NOBODY}
    assert all("expert" in each.reason for each in after)
    assert all(each.proposals["expert"] is None for each in after[1:])
    # hold: the command stays, and the robot comes to rest
    assert np.ptp([each.sent for each in after[2:]], axis=0).max() < 1e-9
    rest = np.array([message.position for message in joints[-5:]])
    assert np.ptp(rest, axis=0).max() < 0.01
