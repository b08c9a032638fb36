"""Nodes stopped by signals while they drive and record: the episode is complete, the last command is zero.

launch forwards a second SIGINT where there is no terminal; a closed terminal or a lost SSH connection sends SIGHUP.
"""

import signal

import pytest
from turning_robot import LONG_S, turning_robot

from il_ros.episodes import layout


@pytest.mark.parametrize(
    "signals",
    [[signal.SIGINT, signal.SIGINT], [signal.SIGHUP], [signal.SIGTERM]],
    ids=lambda signals: "+".join(each.name for each in signals),
)
def test_the_last_command_is_zero_and_the_episode_is_complete(graph, tmp_path, signals):
    with turning_robot(graph, tmp_path) as world:
        commands = graph.received("cmd_vel", "geometry_msgs/msg/TwistStamped", 100)
        graph.until(lambda: commands and commands[-1].twist.angular.z > 0.4, "the robot turns", LONG_S)
        for number in signals:
            for process in world.processes.values():
                process.send_signal(number)
        graph.until(
            lambda: all(process.poll() is not None for process in world.processes.values()), "the end", LONG_S
        )
        graph.until(lambda: commands[-1].twist.angular.z == 0.0, "a last command of zero", 10.0)
    assert {name: process.returncode for name, process in world.processes.items()} == dict.fromkeys(
        world.processes, 0
    )
    (folder,) = world.root.glob("episode_*")
    info = layout.load_info(folder)
    assert info.complete
    assert info.stop_reason == "the recorder was shut down"
