"""Child processes of bench/control_path.py: il_ros nodes, bare rclpy relays, and a training loop."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path

import numpy as np

from il_ros.core import contract
from il_ros.scenarios import graph

JOINTS = [f"joint{i}" for i in range(1, 8)]
CONTRACT = """
name: bench_{rate}
rate_hz: {rate}
trigger: joint_states
observations:
  joints: {{topic: joint_states, type: sensor_msgs/msg/JointState, fields: [position, velocity],
           names: {names}, unit: "rad, rad/s", max_age_s: 0.1}}
actions:
  arm: {{topic: command, type: std_msgs/msg/Float64MultiArray, names: {names}, unit: rad, reference: joints,
        safe: hold, limits: {{lower: -3.0, upper: 3.0, speed: 1000.0}}}}
"""


def commands(file: Path, folder: Path, weights: Path, realtime: int) -> list[list[str]]:
    """Return the commands of the four processes of the two chains."""
    shared = {"contract": str(file), "realtime_priority": realtime}
    ours = [
        graph.NodeSpec(
            "policy_server",
            "policy_server",
            shared | {"checkpoint": str(folder / "checkpoint")},
            namespace="ours",
        ),
        graph.NodeSpec("dagger_supervisor", "dagger_supervisor", shared, namespace="ours"),
    ]
    relays = [[sys.executable, __file__, kind, str(weights), str(realtime)] for kind in ("policy", "pass")]
    return [*(graph.command(spec) for spec in ours), *relays]


def make_checkpoint(contract_file: Path, folder: Path) -> Path:
    """Write an untrained MLP 256x256 as a checkpoint, and the relay's weights; return the weights' file."""
    import torch

    from il_ros.policies import checkpoint
    from il_ros.policies.families.registry import family, make_network
    from il_ros.policies.normaliser import Affine, Normaliser
    from il_ros.policies.runner import LoadedPolicy

    torch.manual_seed(0)
    own = contract.load(contract_file)
    normaliser = Normaliser(Affine(np.zeros(14), np.ones(14)), Affine(np.zeros(7), np.ones(7)))
    settings = family("bc").settings(hidden=(256, 256))
    network = make_network("bc", settings, own, normaliser)
    checkpoint.save(folder, LoadedPolicy(own, "bc", settings, network, normaliser, "bench"))
    layers = network.linear_layers()
    assert layers is not None
    weights = folder.parent / "weights.npz"
    np.savez(weights, *(part.detach().numpy() for layer in layers for part in (layer.weight, layer.bias)))
    return weights


TRAINING = """
import sys, torch
torch.set_num_threads(int(sys.argv[1]))
nn = torch.nn
net = nn.Sequential(nn.Linear(14, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 7))
adam = torch.optim.Adam(net.parameters())
x, y = torch.randn(65536, 14), torch.randn(65536, 7)
try:
    while True:
        rows = torch.randint(0, 65536, (1024,))
        loss = ((net(x[rows]) - y[rows]) ** 2).mean()
        adam.zero_grad(); loss.backward(); adam.step()
except KeyboardInterrupt:
    pass
"""


def relay(kind: str, weights: str, realtime: int) -> None:
    """Run a bare rclpy node: the MLP in NumPy, or a relay of messages."""
    from il_ros.nodes.runtime import process

    process.set_dds_profile()
    import rclpy
    from rclpy.experimental import EventsExecutor
    from sensor_msgs.msg import JointState
    from std_msgs.msg import Float64MultiArray

    rclpy.init()
    node = rclpy.create_node(f"relay_{kind}", namespace="relays")
    if kind == "policy":
        layers = list(np.load(weights).values())
        publisher = node.create_publisher(Float64MultiArray, "proposal", 1)

        def infer(message: JointState) -> None:
            x = np.array([*message.position, *message.velocity], np.float32)
            for i in range(0, len(layers), 2):
                x = layers[i] @ x + layers[i + 1]
                if i + 2 < len(layers):
                    x = np.maximum(x, 0)
            publisher.publish(Float64MultiArray(data=x.tolist()))

        node.create_subscription(JointState, "joint_states", infer, 10)
    else:
        publisher = node.create_publisher(Float64MultiArray, "command", 1)
        node.create_subscription(Float64MultiArray, "proposal", publisher.publish, 10)
    if realtime:
        process.set_realtime(realtime)
    executor = EventsExecutor()
    executor.add_node(node)
    never = rclpy.task.Future()
    with contextlib.suppress(KeyboardInterrupt, rclpy.executors.ExternalShutdownException):
        while rclpy.ok():
            executor.spin_until_future_complete(never, 1.0)


def main() -> None:
    """Run one of the relays."""
    parser = argparse.ArgumentParser(description=relay.__doc__)
    parser.add_argument("kind", choices=("policy", "pass"))
    parser.add_argument("weights")
    parser.add_argument("realtime", type=int)
    arguments = parser.parse_args()
    relay(arguments.kind, arguments.weights, arguments.realtime)


if __name__ == "__main__":
    main()
