"""The contract in docs/any_message.md is one."""

import re
import textwrap
from pathlib import Path

from il_ros.core import contract, messages

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "any_message.md"


def blocks() -> list[str]:
    """Return the indented blocks of the document, without their indentation."""
    found = re.findall(r"(?:^(?: {4}.*)?\n)+", DOCUMENT.read_text(), re.MULTILINE)
    return [textwrap.dedent(block).strip() + "\n" for block in found if block.strip()]


def test_the_how_to_shows_a_contract_that_can_be_read():
    definition = next(block for block in blocks() if block.startswith("std_msgs/Header header"))
    messages.register(definition, "acme_msgs/msg/Tool")
    part = next(block for block in blocks() if block.startswith("observations:"))
    own = contract.parse(f"name: grip\nrate_hz: 20\n{part}", "any_message.md")
    assert own.observation("tool").elements == (
        *("wrenches[1].force.x", "wrenches[1].force.y", "wrenches[1].force.z"),
        "level",
    )
    assert own.observation("tip").shape == (7,)
    assert own.action("fingers").reference_index == (0,)


def test_the_how_to_stays_short():
    assert len(DOCUMENT.read_text().splitlines()) <= 60
