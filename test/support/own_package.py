"""The package in examples/, installed beside il_ros as pip installs it, without the network."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from workspace import ROOT

NAME = "gantry"


@dataclass(frozen=True)
class OwnPackage:
    """The folder in which the package is installed, and one in which commands run."""

    site: Path
    here: Path

    @property
    def environment(self) -> dict[str, str]:
        paths = [str(self.site), os.environ.get("PYTHONPATH", "")]
        return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}

    def il_ros(self, *words: object, timeout_s: float = 400.0) -> str:
        """Run `il-ros` with its words; return what it printed."""
        ran = subprocess.run(
            [sys.executable, "-m", "il_ros.cli.main", *map(str, words)],
            cwd=self.here, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=timeout_s,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stdout
        return ran.stdout


def install(folder: Path) -> OwnPackage:
    """Install a copy of the package's source: building writes into it."""
    source, site, here = folder / "source", folder / "site", folder / "here"
    shutil.copytree(ROOT / "examples" / NAME, source, ignore=shutil.ignore_patterns("__pycache__"))
    here.mkdir()
    options = ["--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "--target", str(site), str(source)],
        check=True, timeout=240,
    )  # fmt: skip
    return OwnPackage(site, here)
