"""The size of files. Style and types are checked by `make lint`, which a user's `make test` does not depend on."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    "path", sorted((ROOT / "il_ros").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT))
)
def test_a_file_has_at_most_400_lines(path):
    assert len(path.read_text().splitlines()) <= 400
