"""Text as tokens: the words of the demonstrations' texts, numbered, and which texts were shown."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

ASSET = "vocabulary.json"
"""Its name among the assets of a model."""
PADDING, UNKNOWN = 0, 1
MOST_WORDS = 10_000
MOST_TEXTS = 1000
"""Of more different texts, only the words are kept: then they are free speech, not instructions."""
MOST_TOKENS = 64
"""Tokens of a text; what is beyond is cut off."""
_WORD = re.compile(r"[^\W_]+|[^\w\s]")


@dataclass(frozen=True)
class Vocabulary:
    """The known words; the k-th has token k + 2. `tokens`: the length L of each text, in tokens.

    `texts`: the texts that were shown, as words with one space between; empty: not known, as of checkpoints of before
    2026-12.
    Raises ValueError when words are too many or occur twice, or `tokens` is not 1 to MOST_TOKENS.
    """

    words: tuple[str, ...]
    tokens: int
    texts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.words) > MOST_WORDS or len(set(self.words)) != len(self.words):
            raise ValueError(f"a vocabulary has at most {MOST_WORDS} words, each of them once")
        if not 1 <= self.tokens <= MOST_TOKENS:
            raise ValueError(f"a vocabulary's texts have 1 to {MOST_TOKENS} tokens, not {self.tokens}")

    @classmethod
    def of(cls, texts: Iterable[str]) -> Vocabulary:
        """Return the vocabulary of these texts: their words from the most frequent, and their greatest length."""
        split = [words_of(text) for text in texts]
        counts = Counter(word for words in split for word in words)
        ordered = sorted(counts, key=lambda word: (-counts[word], word))[:MOST_WORDS]
        length = min(MOST_TOKENS, max((len(words) for words in split), default=1) or 1)
        shown = sorted({" ".join(words) for words in split})
        return cls(tuple(ordered), length, tuple(shown) if len(shown) <= MOST_TEXTS else ())

    @classmethod
    def from_bytes(cls, data: bytes) -> Vocabulary:
        """Return the inverse of `to_bytes`; raises ValueError when the data are damaged."""
        try:
            values = json.loads(data)
            words, tokens, texts = values["words"], values["tokens"], values.get("texts", [])
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"not a vocabulary: {error}") from error
        for name, several in (("words", words), ("texts", texts)):
            if not isinstance(several, list) or not all(isinstance(each, str) for each in several):
                raise ValueError(f"a vocabulary's {name} must be a list of texts")
        if type(tokens) is not int:
            raise ValueError("a vocabulary's tokens must be a whole number")
        return cls(tuple(words), tokens, tuple(texts))

    @classmethod
    def among(cls, assets: Mapping[str, bytes]) -> Vocabulary | None:
        """Return the vocabulary among a model's assets, None if there is none; raises ValueError if it is damaged."""
        return cls.from_bytes(assets[ASSET]) if ASSET in assets else None

    def to_bytes(self) -> bytes:
        """Return the vocabulary as JSON."""
        return json.dumps(
            {"words": list(self.words), "tokens": self.tokens, "texts": list(self.texts)}
        ).encode()

    @property
    def size(self) -> int:
        """The number of tokens, with those for padding and unknown words."""
        return len(self.words) + 2

    def encode(self, text: str) -> NDArray[np.int64]:
        """Return the tokens (L,) of a text; UNKNOWN for other words, PADDING after its end."""
        tokens = [self._places.get(word, UNKNOWN) for word in words_of(text)[: self.tokens]]
        return np.array(tokens + [PADDING] * (self.tokens - len(tokens)), dtype=np.int64)

    def strangeness(self, text: str) -> float:
        """Return 0 for a text that was shown, otherwise 1 and one more for each word that was not.

        Where the shown texts are not known, the number of words that were not shown.
        """
        words = words_of(text)
        if " ".join(words) in self._shown:
            return 0.0
        return float(bool(self._shown)) + sum(word not in self._places for word in words)

    @cached_property
    def _shown(self) -> frozenset[str]:
        return frozenset(self.texts)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words, start=UNKNOWN + 1)}


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case; punctuation marks are words of their own."""
    return _WORD.findall(text.lower())
