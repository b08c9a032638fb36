"""gz-sim's services, called by the command `gz service`: set model poses, pause the simulation."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from il_ros.core.specs import Vector

TIMEOUT_S = 10.0
BRIDGE = "ros_gz_bridge"
_INSTALL = "install ros_gz (sudo apt-get install -y ros-{distribution}-ros-gz) and source ROS 2"


def why_missing() -> str:
    """Return which part of gz-sim is missing here and how to install it; empty when both are there."""
    install = _INSTALL.format(distribution=os.environ.get("ROS_DISTRO") or "jazzy")
    if shutil.which("gz") is None:
        return f"there is no 'gz' on the PATH; {install}"
    prefixes = filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep))
    entry = Path("share", "ament_index", "resource_index", "packages", BRIDGE)
    if not any((prefix / entry).exists() for prefix in map(Path, prefixes)):
        return f"there is no package {BRIDGE}, which brings gz's topics to ROS; {install}"
    return ""


def put(world: str, poses: Mapping[str, Vector]) -> list[str]:
    """Return the command that sets models' poses (7,): position in metres, quaternion wxyz."""
    request = " ".join(_pose(name, pose) for name, pose in poses.items())
    return _service(f"/world/{world}/set_pose_vector", "gz.msgs.Pose_V", request)


def pause(world: str, paused: bool) -> list[str]:
    """Return the command that pauses or resumes the simulation."""
    return _service(f"/world/{world}/control", "gz.msgs.WorldControl", f"pause: {str(paused).lower()}")


def ask(command: Sequence[str]) -> None:
    """Run such a command; raises RuntimeError with gz's message when it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S + 5.0, check=False)
    except FileNotFoundError:
        raise RuntimeError(why_missing()) from None
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{command[3]}: gz gave no answer within {TIMEOUT_S:g} s") from None
    if "data: true" not in done.stdout:
        output = (done.stdout + done.stderr).strip() or f"exit status {done.returncode}"
        raise RuntimeError(f"{command[3]}: gz refused the request: {output}")


def _service(name: str, kind: str, request: str) -> list[str]:
    words = ["gz", "service", "-s", name, "--reqtype", kind, "--reptype", "gz.msgs.Boolean"]
    return [*words, "--timeout", str(round(TIMEOUT_S * 1000)), "--req", request]


def _pose(name: str, pose: Vector) -> str:
    x, y, z, qw, qx, qy, qz = (f"{number:.9g}" for number in pose)
    position = f"position {{x: {x} y: {y} z: {z}}}"
    return f'pose {{name: "{name}" {position} orientation {{w: {qw} x: {qx} y: {qy} z: {qz}}}}}'
