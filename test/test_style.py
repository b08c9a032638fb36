"""The linters, run as tests: what `make lint` says, `make test` says."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    "tool",
    [("ruff", "check", "."), ("ruff", "format", "--check", "."), ("mypy", "il_ros")],
    ids=" ".join,
)
def test_the_linter_is_content(tool):
    ran = subprocess.run([sys.executable, "-m", *tool], cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize(
    "path", sorted((ROOT / "il_ros").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT))
)
def test_a_file_fits_in_the_head(path):
    assert len(path.read_text().splitlines()) <= 400
