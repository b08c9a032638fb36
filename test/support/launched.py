"""A launch file of an installed il_ros under `ros2 launch`, in a session of its own and without a terminal."""

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from made_versions import constant_policy

from il_ros.core import contract, share
from il_ros.policies import checkpoint

ROS2 = [sys.executable, "-c", "import sys; from ros2cli.cli import main; sys.exit(main())"]
LONG_S = 120.0


def absent() -> str:
    """Return which of launch's packages cannot be imported ('launch' alone may be our own folder)."""
    for name in ("launch.actions", "launch_ros.actions", "ros2launch", "ros2cli.cli", "colcon_ros"):
        try:
            if importlib.util.find_spec(name) is None:
                return name
        except ModuleNotFoundError:
            return name
    return ""


def saved_policy(folder: Path) -> Path:
    """Save a policy that turns the simulated base on the spot."""
    own = contract.load(share.path("config", "contracts", "drive.yaml"))
    checkpoint.save(folder, constant_policy(own, (0.0, 0.5), "v1"))
    return folder


class Launched:
    """`ros2 launch` with its output in a file; leaving the context kills what is left."""

    def __init__(
        self, workspace, folder: Path, *words: str, launch_file: Path | None = None, package: str = "il_ros"
    ) -> None:
        # launch's own executable name: a node recognises its parent by it
        program = folder / "ros2"
        program.write_text("import sys\nfrom ros2cli.cli import main\nsys.exit(main())\n")
        where = [package] if launch_file is None else [str(launch_file)]
        self._file = folder / "launch_output"
        self._found: dict[str, int] = {}
        with self._file.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(program), "launch", *where, *words],
                cwd=workspace.folder, env=workspace.environment, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def __enter__(self) -> "Launched":
        return self

    def __exit__(self, *_) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        for pid in self._found.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(10)

    @property
    def output(self) -> str:
        return self._file.read_text(errors="replace")

    def until(self, line: str, times: int = 1, timeout_s: float = LONG_S) -> None:
        """Wait until `line` was printed so many times."""
        end_s = time.monotonic() + timeout_s
        while self.output.count(line) < times:
            assert self.process.poll() is None, self.output
            assert time.monotonic() < end_s, self.output
            time.sleep(0.1)  # another process's output

    def nodes(self) -> dict[str, int]:
        """Return the nodes' process ids by executable."""
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (folder / "cmdline").read_bytes().decode().split("\0")
                parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
                if parent == self.process.pid and len(words) > 1 and "/lib/il_ros/" in words[1]:
                    self._found[Path(words[1]).name] = int(folder.name)
        return dict(self._found)

    def end(self, timeout_s: float = LONG_S) -> int:
        """Return launch's exit code."""
        return self.process.wait(timeout_s)
