"""Changes of single words in a YAML text: comments, order and spacing stay as they are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import yaml


@dataclass(frozen=True)
class Leaf:
    """One value, and the keys that lead to it, outermost first."""

    keys: tuple[yaml.ScalarNode, ...]
    value: yaml.Node

    @property
    def names(self) -> tuple[str, ...]:
        """The keys as they are written; one may have dots."""
        return tuple(str(key.value) for key in self.keys)

    @property
    def line(self) -> int:
        """The line of the innermost key."""
        return int(self.keys[-1].start_mark.line) + 1


@dataclass(frozen=True)
class Edit:
    """Another word for a scalar, whose quotes are kept."""

    scalar: yaml.ScalarNode
    word: str

    @property
    def line(self) -> int:
        """The line of the scalar."""
        return int(self.scalar.start_mark.line) + 1


def leaves(node: yaml.Node, before: tuple[yaml.ScalarNode, ...] = ()) -> Iterator[Leaf]:
    """Yield every value that is not a mapping, in the order of the text."""
    if not isinstance(node, yaml.MappingNode):
        yield Leaf(before, node)
        return
    for key, value in node.value:
        yield from leaves(value, (*before, key))


def edited(text: str, edits: Iterable[Edit]) -> str:
    """Return the text with the edits; a comment behind a changed line keeps its column where there is room."""
    unique = {edit.scalar.start_mark.index: edit for edit in edits}
    for start, edit in sorted(unique.items(), reverse=True):  # from the end: places before it stay valid
        stop = edit.scalar.end_mark.index
        quote = text[start] if text[start] in "'\"" else ""
        word = f"{quote}{edit.word}{quote}"
        rest = _with_comment_in_place(text[stop:], len(word) - (stop - start))
        text = text[:start] + word + rest
    return text


_VALUE_AND_COMMENT = re.compile(r"""(?P<value>(?:"[^"\n]*"|'[^'\n]*'|[^\n"'#])*?)(?P<gap>[ ]{2,})(?=\#)""")


def _with_comment_in_place(rest: str, longer: int) -> str:
    """Return the text behind a word that has become longer by some characters."""
    found = _VALUE_AND_COMMENT.match(rest)
    if found is None or len(found["gap"]) - longer < 2:
        return rest
    return found["value"] + " " * (len(found["gap"]) - longer) + rest[found.end() :]
