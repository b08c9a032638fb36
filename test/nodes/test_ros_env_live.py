"""A Gymnasium environment where time runs and the scene is brought back by hand, as on a robot."""

import time

import numpy as np
from std_srvs.srv import Trigger

from il_ros.graph import command
from il_ros.nodes.ros_env import RosEnv
from il_ros.processes import ProcessGroup
from il_ros.scenarios import SCENARIOS


def test_ticks_go_by_while_one_thinks_and_the_present_is_what_one_sees(graph, tmp_path):
    given = {"task": "drive", "speed": "1", "cameras": "false", "namespace": "left"}
    specs = SCENARIOS["env"].nodes(given)
    hands = []

    def bring_back(seed):
        hands.append(seed)
        assert graph.call("left/sim/reset", Trigger).success

    with ProcessGroup({spec.name: command(spec) for spec in specs}, tmp_path, print):
        env = RosEnv("drive", lockstep=False, reset_scene=bring_back, namespace="left", timeout_s=60.0)
        env.reset(seed=5)
        ahead = np.array([0.3, 0.0])
        *_, first = env.step(ahead)
        assert first["authority"] == "policy"
        time.sleep(0.4)  # thinking
        *_, late = env.step(ahead)
        assert late["skipped"] >= 4
        assert late["time_s"] > first["time_s"] + 0.25
        env.close()
    assert hands == [5]
