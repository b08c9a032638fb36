"""The module of each executable node, for `setup.py`, `ros2 run` and the process launcher."""

NODES = {
    "action_client": "il_ros.nodes.action_client.node",
    "conductor": "il_ros.nodes.conductor.node",
    "dagger_supervisor": "il_ros.nodes.supervisor.node",
    "judge": "il_ros.nodes.judge.node",
    "playback": "il_ros.nodes.teleop.playback_node",
    "policy_server": "il_ros.nodes.policy_server.node",
    "recorder": "il_ros.nodes.recorder.node",
    "scripted_expert": "il_ros.nodes.sim.expert_node",
    "session": "il_ros.nodes.session.node",
    "sim": "il_ros.nodes.sim.node",
    "sim_gz": "il_ros.nodes.sim.gz_node",
    "teleop": "il_ros.nodes.teleop.device_node",
    "teleop_joy": "il_ros.nodes.teleop.joy_node",
    "teleop_keyboard": "il_ros.nodes.teleop.keyboard_node",
    "teleop_leader": "il_ros.nodes.teleop.leader_node",
    "trainer": "il_ros.nodes.trainer.node",
}

NAMES = dict.fromkeys(
    ("scripted_expert", "teleop", "teleop_joy", "teleop_keyboard", "teleop_leader"), "expert"
)
NAMES["sim_gz"] = "sim"
"""The node's name where it differs from the executable's."""

SLOW_TO_STOP = ("recorder", "session", "trainer")
"""Nodes that have something to end when they stop: an episode on a slow disk, a report, a training."""
SLOW_STOP_S = 120
"""Time that such a node gets before it is killed."""
