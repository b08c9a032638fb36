"""The text of a drafted contract, from whatever its streams were found in.

Each source (a data set, an environment, a running robot) says what the streams are; this module writes them, with
comments, and reads the text once, so that no draft is handed out that is no contract.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from il_ros.core import contract as contracts
from il_ros.core.contract import Contract

EXPLAINED = "# docs/contract.yaml explains every field."


@dataclass(frozen=True)
class DraftedStream:
    """An observation or an action of a draft: its key, a comment about it, and its fields as lines of YAML."""

    key: str
    comment: str
    lines: tuple[str, ...]

    @property
    def text(self) -> list[str]:
        """Its lines in the contract."""
        about = f"  # {self.comment}" if self.comment else ""
        return [f"  {self.key}:{about}", *(f"    {line}" for line in self.lines)]


def drafted(
    head: Sequence[str],
    name: str,
    rate_hz: float,
    observations: Sequence[DraftedStream],
    actions: Sequence[DraftedStream],
    *,
    source: str,
    trigger: str = "",
    rate_comment: str = "",
    trigger_comment: str = "",
    tail: Sequence[str] = (),
) -> Contract:
    """Return the drafted contract; `text` has its commented file. `head` and `tail`: lines of comments.

    Raises ContractError when the streams make no contract; `source` names the draft in it.
    """
    lines = [
        *(f"# {line}" for line in head),
        EXPLAINED,
        f"name: {quoted(name)}",
        f"rate_hz: {plain_number(rate_hz)}" + (f"  # {rate_comment}" if rate_comment else ""),
        *([f"trigger: {trigger}" + (f"  # {trigger_comment}" if trigger_comment else "")] if trigger else []),
        "",
        "observations:",
        *(line for stream in observations for line in stream.text),
        "",
        "actions:",
        *(line for stream in actions for line in stream.text),
        *(["", *(f"# {line}".rstrip() for line in tail)] if tail else []),
    ]
    return contracts.parse("\n".join(line.rstrip() for line in lines) + "\n", source)


def plain_number(value: float) -> str:
    """Return a number as YAML that is read back exactly; YAML 1.1 reads 1e-05 as text: it needs a point."""
    text = repr(value)
    return text if "." in text or "e" not in text else text.replace("e", ".0e")


def picture(width: int, height: int, channels: int, *, depth: bool = False, fit: str = "") -> str:
    """Return the line of a camera's size and encoding."""
    encoding = "depth" if depth else "rgb8" if channels == 3 else "mono8"
    also = f", fit: {fit}" if fit else ""
    return f"image: {{width: {width}, height: {height}, encoding: {encoding}{also}}}"


def word(text: str) -> str:
    """Return a text as a contract's key: letters, digits and underscores, a letter first."""
    found = re.sub(r"[^0-9A-Za-z]+", "_", text).strip("_")
    return found if found[:1].isalpha() else f"f_{found}"


def words_of(texts: Iterable[str], key_of: Callable[[str], str] = word) -> dict[str, str]:
    """Return a key for each text, by `key_of`; those that would be alike get numbers."""
    keys: dict[str, str] = {}
    for text in texts:
        key, count = key_of(text), 2
        while key in keys.values():
            key, count = f"{key_of(text)}_{count}", count + 1
        keys[text] = key
    return keys


def number_list(key: str, values: Iterable[Any]) -> list[str]:
    """Return the lines of 'key: [...]'; numbers with six digits, texts quoted where YAML needs it."""
    items = [quoted(each) if isinstance(each, str) else repr(float(f"{each:.6g}")) for each in values]
    lines = textwrap.wrap(f"{key}: [{', '.join(items)}]", 100, break_long_words=False, break_on_hyphens=False)
    return [lines[0], *(f"  {line}" for line in lines[1:])]


def quoted(text: str) -> str:
    """Return a text as a YAML value."""
    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_./-]*", text) and text.lower() not in _YAML_WORDS
    return text if plain else json.dumps(text, ensure_ascii=False)


_YAML_WORDS = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}
