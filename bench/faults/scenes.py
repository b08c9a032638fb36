"""The variants of the campaign's robot: which sensors it has, what its clock is, and what lies behind a wire."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import wire

from il_ros.core import share

LIBFAKETIME = (
    Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"),
    Path("/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1"),
)
JOINTS = ("left_wheel", "right_wheel")
PIXELS = 32
POLICY = ("policy_server", "trainer")
"""The nodes that may run on another computer than the robot's."""
_SENSORS = f"""
  camera:
    topic: camera/compressed
    type: sensor_msgs/msg/CompressedImage
    image: {{width: {PIXELS}, height: {PIXELS}}}
    max_age_s: 0.2
  wheels:
    topic: joint_states
    type: sensor_msgs/msg/JointState
    names: [{", ".join(JOINTS)}]
    unit: rad
    max_age_s: 0.2

actions:"""


@dataclass(frozen=True)
class Scene:
    """`contract`: text. `sensors`: the campaign publishes a camera and wheels. `far`: the nodes behind the wire.

    `own_clocks`: every node has the system's clock, which can be set for each; otherwise they follow /clock.
    """

    name: str
    contract: str
    sensors: bool = False
    own_clocks: bool = False
    far: tuple[str, ...] = ()

    def why_not(self) -> str:
        """Return why this machine cannot have the scene, "" if it can."""
        if self.far and (reason := wire.why_not()):
            return reason
        if self.own_clocks and faketime() is None:
            return "clocks of single nodes need libfaketime (Debian: apt-get install faketime)"
        return ""


def faketime() -> Path | None:
    return next((path for path in LIBFAKETIME if path.exists()), None)


def _scenes() -> dict[str, Scene]:
    drive = share.path("config", "contracts", "drive.yaml").read_text()
    sensors = drive.replace("\nactions:", _SENSORS, 1)
    found = (
        Scene("drive", drive),
        Scene("sensors", sensors, sensors=True),
        Scene("clocks", _by_arrival(drive), own_clocks=True),
        Scene("policy behind a wire", drive, far=POLICY),
        Scene("robot behind a wire", drive, far=("recorder", "dagger_supervisor", *POLICY)),
    )
    return {each.name: each for each in found}


def _by_arrival(text: str) -> str:
    """Return a contract that ignores the sensors' stamps, which are simulated time."""
    return text.replace("    max_age_s:", "    stamp: arrival\n    max_age_s:")


SCENES = _scenes()


def everything() -> Scene:
    """Return one scene with all that this machine can have."""
    wired, clocks = not SCENES["policy behind a wire"].why_not(), not SCENES["clocks"].why_not()
    sensors = SCENES["sensors"].contract
    text = _by_arrival(sensors) if clocks else sensors
    return Scene("everything", text, sensors=True, own_clocks=clocks, far=POLICY if wired else ())
