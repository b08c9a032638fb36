"""The example of docs/rewards.md runs, and finds that the carpet costs more than a step."""

import subprocess
import sys
import textwrap
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "rewards.md"


def test_the_guides_example_finds_that_the_carpet_was_avoided():
    text = DOCUMENT.read_text()
    code = textwrap.dedent(text[text.index("    import numpy") : text.index("- **Several maps")])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    step, carpet, _error = (
        float(part.strip("[]")) for part in done.stdout.replace("[", " ").split() if part.strip("[]")
    )
    assert -2.0 < step < 0.0
    assert carpet < 3 * step
