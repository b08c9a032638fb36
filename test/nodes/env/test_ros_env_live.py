"""A Gymnasium environment in running time with a caller-supplied scene reset, as on a robot."""

import numpy as np
from std_srvs.srv import Trigger

from il_ros.core.processes.group import ProcessGroup
from il_ros.nodes.env.ros_env import RosEnv
from il_ros.scenarios import SCENARIOS
from il_ros.scenarios.graph import command


def test_a_slow_step_skips_ticks_and_observes_the_present(graph, tmp_path):
    given = {"task": "drive", "speed": "1", "cameras": "false", "namespace": "left"}
    specs = SCENARIOS["env"].nodes(given)
    hands, clock = [], graph.received("/left/clock", "rosgraph_msgs/msg/Clock")

    def bring_back(seed):
        hands.append(seed)
        assert graph.ask("left/sim/reset", Trigger).success

    with ProcessGroup({spec.name: command(spec) for spec in specs}, tmp_path, print):
        env = RosEnv(
            "drive", lockstep=False, reset_scene=bring_back, namespace="left", timeout_s=60.0,
            time_limit_s=1000.0,
        )  # fmt: skip
        env.reset(seed=5)
        still = np.zeros(2)

        def drove():
            *_, info = env.step(still)
            return info["authority"] == "policy" and info

        first = graph.until(drove, "a proposal in time, on a busy machine too")
        end_ns = env._tick_ns + 600_000_000  # a slow step
        graph.until(
            lambda: clock and clock[-1].clock.sec * 10**9 + clock[-1].clock.nanosec >= end_ns, "thinking"
        )
        *_, late = env.step(still)
        assert late["skipped"] >= 4
        assert late["time_s"] > first["time_s"] + 0.25
        env.close()
    assert hands == [5]
