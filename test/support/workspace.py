"""il_ros as a colcon workspace installs it, for tests of what is installed."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGED = (
    "config",
    "il_ros",
    "launch",
    "models",
    "resource",
    "LICENSE",
    "package.xml",
    "setup.cfg",
    "setup.py",
    "worlds",
)


@dataclass(frozen=True)
class Workspace:
    """A built workspace in `folder`; `run` has the environment of its sourced setup."""

    folder: Path

    @property
    def prefix(self) -> Path:
        return self.folder / "install" / "il_ros"

    @property
    def environment(self) -> dict[str, str]:
        packages = sorted(self.folder.glob("install/*/lib/python3*/site-packages"))
        assert packages
        # without the checkout: a file missing in the installation must cause a failure
        paths = [*map(str, packages), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        installed = [str(each.parents[2]) for each in packages]
        prefixes = [*installed, *os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)]
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "AMENT_PREFIX_PATH": os.pathsep.join(filter(None, prefixes)),
        }

    def run(self, *command: str, timeout_s: float = 120.0) -> subprocess.CompletedProcess[str]:
        """Run a command outside the checkout; its output is one text."""
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
        )


def build(folder: Path, examples: tuple[str, ...] = ()) -> Workspace:
    """Build the checkout's files in a new workspace, and packages of `examples/` beside them."""
    for name in examples:
        ignored = shutil.ignore_patterns("__pycache__", "build", "*.egg-info")
        shutil.copytree(ROOT / "examples" / name, folder / "src" / name, ignore=ignored)
    source = folder / "src" / "il_ros"
    source.mkdir(parents=True)
    for name in PACKAGED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif (ROOT / name).exists():
            shutil.copy(ROOT / name, source / name)
    built = colcon(folder, "build")
    assert built.returncode == 0, built.stdout
    return Workspace(folder)


def colcon(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "colcon", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
