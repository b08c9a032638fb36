"""The blocks of docs/gymnasium.md: the user's files and commands of each section."""

import re
import shlex
from pathlib import Path

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "gymnasium.md"
SECTIONS = ("Pendulum", "Lunar lander", "A MuJoCo environment")


def section(title):
    """Return the text of a section."""
    return GUIDE.read_text().split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def programs(title):
    """Return the Python programs of a section."""
    return re.findall(r"```python\n(.*?)```", section(title), re.DOTALL)


def commands(title):
    """Return the commands of a section, as lists of words without `il-ros`."""
    found = re.findall(r"^    (il-ros .*)$", section(title), re.MULTILINE)
    return [shlex.split(line)[1:] for line in found]


def file_of(title):
    """Return the name of the file that a section's first program is."""
    return re.search(r"`(\w+\.py)`", section(title))[1]
