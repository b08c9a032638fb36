"""Runs a private gzserver on a world, with an X display for its cameras; it ends with this process."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

PLUGIN = "libil_ros_lockstep.so"
_MISSING = "there is no Gazebo at {folder}; type:  make gazebo   (IL_ROS_GAZEBO names another folder)"


def folder() -> Path:
    """Return the folder of `scripts/gazebo`: IL_ROS_GAZEBO, or .gazebo of the checkout."""
    named = os.environ.get("IL_ROS_GAZEBO")
    return Path(named).absolute() if named else Path(__file__).resolve().parents[3] / ".gazebo"


def why_missing() -> str:
    """Return why Gazebo can't start and how to fix it; empty when it can start."""
    if not (folder() / "gzserver").is_file() or not (folder() / PLUGIN).is_file():
        return _MISSING.format(folder=folder())
    if shutil.which("Xvfb") is None:
        return "Gazebo's cameras need Xvfb; on Debian or Ubuntu:  sudo apt-get install -y xvfb"
    return ""


class Gazebo:
    """The processes of one simulation, and the socket to the plugin. Raises RuntimeError when it can't start.

    The plugin ends gzserver when the socket closes; Xvfb ends with the thread that started it.
    """

    def __init__(self, world: str):
        missing = why_missing()
        if missing:
            raise RuntimeError(missing)
        self._folder = Path(tempfile.mkdtemp(prefix="il_ros_gazebo_"))
        self._processes: list[subprocess.Popen[bytes]] = []
        (self._folder / "world.sdf").write_text(world)
        self.log = self._folder / "log"
        self.socket, other = socket.socketpair()
        try:
            environment = self._environment(other.fileno(), self._display())
            self._start(
                [str(folder() / "gzserver"), "-u", "--minimal_comms", "-s", PLUGIN, "world.sdf"],
                other.fileno(),
                environment,
            )
        except BaseException:
            self.close()
            raise
        finally:
            other.close()

    def last_output(self) -> str:
        """Return the last lines of gzserver's output."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-8:])

    def close(self) -> None:
        """End the processes and remove their folder; a second call does nothing."""
        self.socket.close()
        for process in reversed(self._processes):
            try:
                process.wait(5.0 if process is not self._processes[0] else 0.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _display(self) -> str:
        """Start an X server on a free display, and return its name."""
        read, write = os.pipe()
        screen = ["-displayfd", str(write), "-screen", "0", "640x480x24", "-nolisten", "tcp"]
        try:
            self._start(["setpriv", "--pdeathsig", "KILL", "Xvfb", *screen], write, dict(os.environ))
        finally:
            os.close(write)
        with os.fdopen(read) as pipe:  # number and newline may arrive separately: wait for the whole line
            number = pipe.readline().strip()
        if not number:
            raise RuntimeError(f"Xvfb did not start: {self.last_output()}")
        return f":{number}"

    def _environment(self, descriptor: int, display: str) -> dict[str, str]:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("GAZEBO_")},
            "DISPLAY": display,
            "IL_ROS_SOCKET": str(descriptor),
            # isolated from other Gazebos: own port, home and shader cache, and no downloads
            "GAZEBO_MASTER_URI": f"http://127.0.0.1:{port}",
            "GAZEBO_IP": "127.0.0.1",
            "IGN_IP": "127.0.0.1",
            "IGN_PARTITION": f"il_ros_{port}",
            "GAZEBO_MODEL_DATABASE_URI": "",
            "HOME": str(self._folder),
            "TMPDIR": str(self._folder),
            "USER": "il_ros",
            "LC_ALL": "C",
        }

    def _start(self, command: list[str], descriptor: int, environment: dict[str, str]) -> None:
        with self.log.open("ab") as log:
            self._processes.append(
                subprocess.Popen(
                    command,
                    cwd=self._folder,
                    env=environment,
                    pass_fds=[descriptor],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # Ctrl-C reaches this process only, which ends its children
                )
            )
