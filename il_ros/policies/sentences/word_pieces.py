"""Text as pieces of words, as BERT's uncased models were trained on (Devlin et al. 2019).

Text is put into lower case without accents, and cut at spaces and around punctuation. Each word becomes the longest
pieces that the list has, from left to right; all but a word's first piece begin with ##.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence

BEGIN, END, UNKNOWN = "[CLS]", "[SEP]", "[UNK]"
MOST_PIECES = 256
"""Pieces of a text, with BEGIN and END; all-MiniLM-L6-v2 was trained with as many."""
_LONGEST_WORD = 100
_IDEOGRAPHS = (
    (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2A6DF), (0x2A700, 0x2CEAF), (0x2F800, 0x2FA1F)
)  # fmt: skip
_ASCII_SIGNS = "$+<=>^`|~"
"""These count as punctuation, which Unicode calls symbols."""


class WordPieces:
    """The numbers of the pieces of a text. `pieces`: the list, in the order of their numbers.

    Raises ValueError where BEGIN, END or UNKNOWN is missing.
    """

    def __init__(self, pieces: Sequence[str]) -> None:
        self._numbers = {piece: number for number, piece in enumerate(pieces)}
        for needed in (BEGIN, END, UNKNOWN):
            if needed not in self._numbers:
                raise ValueError(f"the list of word pieces lacks {needed}")

    def encode(self, text: str) -> list[int]:
        """Return the numbers, BEGIN first and END last; what is beyond MOST_PIECES is cut off."""
        found = [piece for word in _words(text) for piece in self._pieces(word)]
        return [
            self._numbers[BEGIN],
            *(self._numbers[piece] for piece in found[: MOST_PIECES - 2]),
            self._numbers[END],
        ]

    def _pieces(self, word: str) -> list[str]:
        if len(word) > _LONGEST_WORD:
            return [UNKNOWN]
        found: list[str] = []
        start = 0
        while start < len(word):
            prefix = "##" if start else ""
            ends = range(len(word), start, -1)
            end = next((end for end in ends if prefix + word[start:end] in self._numbers), None)
            if end is None:
                return [UNKNOWN]
            found.append(prefix + word[start:end])
            start = end
        return found


def _words(text: str) -> Iterator[str]:
    """Yield the words of a text in lower case without accents; punctuation and ideographs stand alone."""
    shown = "".join(each for each in text if each.isspace() or _is_shown(each))
    spaced = "".join(f" {each} " if _is_ideograph(each) else each for each in shown)
    plain = (e for e in unicodedata.normalize("NFD", spaced.lower()) if unicodedata.category(e) != "Mn")
    yield from "".join(f" {each} " if _is_punctuation(each) else each for each in plain).split()


def _is_shown(character: str) -> bool:
    return character != "\ufffd" and unicodedata.category(character) not in ("Cc", "Cf", "Co")


def _is_ideograph(character: str) -> bool:
    return any(first <= ord(character) <= last for first, last in _IDEOGRAPHS)


def _is_punctuation(character: str) -> bool:
    return character in _ASCII_SIGNS or unicodedata.category(character).startswith("P")
