"""Names and lists of other projects' data as parts of a contract's text."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable, Iterable
from typing import Any


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
