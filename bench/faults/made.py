"""What the campaign makes: a constant policy, pictures and joints."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from scenes import JOINTS, PIXELS

from il_ros.core import contract, messages
from il_ros.policies import checkpoint, lineage
from il_ros.policies.families.registry import family, make_network
from il_ros.policies.features import Inputs
from il_ros.policies.lineage import Lineage
from il_ros.policies.normaliser import PIXELS as GREY_LEVELS
from il_ros.policies.normaliser import Affine, Normaliser
from il_ros.policies.runner import LoadedPolicy

TURN = (0.0, 0.5)
"""What the policy proposes: m/s, rad/s."""
PICTURE, JOINT_STATE = "sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/JointState"


def picture(stamp_ns: int, pixels: int = PIXELS) -> bytes:
    """Return the campaign's picture, a JPEG in a CompressedImage."""
    _, coded = cv2.imencode(".jpg", np.full((pixels, pixels, 3), stamp_ns // 10**7 % 200, np.uint8))
    return compressed(stamp_ns, "jpeg", coded.tobytes())


def compressed(stamp_ns: int, kind: str, raw: bytes) -> bytes:
    """Return a CompressedImage of these bytes."""
    data = np.frombuffer(raw, np.uint8)
    return messages.encode(
        PICTURE, messages.make(PICTURE, header=messages.header(stamp_ns), format=kind, data=data)
    )


def wheels(stamp_ns: int, names: tuple[str, ...] = JOINTS, value: float = 0.0) -> bytes:
    """Return a JointState with these names."""
    position = np.full(len(names), value)
    header = messages.header(stamp_ns)
    return messages.encode(
        JOINT_STATE, messages.make(JOINT_STATE, header=header, name=list(names), position=position)
    )


def save_constant(own: contract.Contract, folder: Path) -> None:
    """Save a policy that always proposes TURN."""
    state, actions = (Affine(np.zeros(n), np.ones(n)) for n in (len(Inputs.of(own, ()).elements), len(TURN)))
    images = {spec.key: GREY_LEVELS for spec in own.observations if spec.image}
    scaling = Normaliser(state, actions, images)
    settings = family("bc").settings(hidden=(4,), channels=(4,))
    network = make_network("bc", settings, own, scaling)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.linear_layers()[-1].bias.copy_(torch.tensor(TURN))
    policy = LoadedPolicy(own, "bc", settings, network, scaling, "v1")
    checkpoint.save(folder, policy)
    lineage.write(folder.parent, Lineage("v1"))
