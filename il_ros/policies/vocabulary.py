"""Text as tokens: the words of the demonstrations' texts, numbered, and which texts were shown.

With `meanings`, a text that was not shown is taken for the shown one that is nearest in meaning, where one is.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from il_ros.policies.sentences.encoder import NoEncoderError
from il_ros.policies.sentences.meanings import Meanings

ASSET = "vocabulary.json"
"""Its name among the assets of a model."""
PADDING, UNKNOWN = 0, 1
MOST_WORDS = 10_000
MOST_TEXTS = 1000
"""Of more different texts, only the words are kept: then they are free speech, not instructions."""
MOST_TOKENS = 64
"""Tokens of a text; what is beyond is cut off."""
MOST_MEANINGS = 1000
"""Texts that are kept with what they are taken for."""
_WORD = re.compile(r"[^\W_]+|[^\w\s]")
_NEGATION = re.compile(r"\b(?:not?|never|none|neither|nor|without|except|but|avoid|stop|instead)\b|n['’]t\b")
"""Sentence encoders hardly tell an instruction from its negation: "don't touch the red block" has a cosine of 0.92."""


@dataclass(frozen=True)
class Vocabulary:
    """The known words; the k-th has token k + 2. `tokens`: the length L of each text, in tokens.

    `texts`: the texts that were shown, as words with one space between; empty: not known, as of checkpoints of before
    2026-12. `meanings`: what these texts mean; None: words only.
    Raises ValueError when words are too many or occur twice, or `tokens` is not 1 to MOST_TOKENS.
    """

    words: tuple[str, ...]
    tokens: int
    texts: tuple[str, ...] = ()
    meanings: Meanings | None = None

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
            meant = values.get("meanings")
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"not a vocabulary: {error}") from error
        for name, several in (("words", words), ("texts", texts)):
            if not isinstance(several, list) or not all(isinstance(each, str) for each in several):
                raise ValueError(f"a vocabulary's {name} must be a list of texts")
        if type(tokens) is not int:
            raise ValueError("a vocabulary's tokens must be a whole number")
        meanings = None if meant is None else Meanings.from_plain(meant, len(texts))
        return cls(tuple(words), tokens, tuple(texts), meanings)

    @classmethod
    def among(cls, assets: Mapping[str, bytes]) -> Vocabulary | None:
        """Return the vocabulary among a model's assets, None if there is none; raises ValueError if it is damaged."""
        return cls.from_bytes(assets[ASSET]) if ASSET in assets else None

    def to_bytes(self) -> bytes:
        """Return the vocabulary as JSON."""
        plain: dict[str, Any] = {"words": self.words, "tokens": self.tokens, "texts": self.texts}
        if self.meanings is not None:
            plain["meanings"] = self.meanings.to_plain()
        return json.dumps(plain).encode()

    def with_meanings(self) -> Vocabulary:
        """Return the vocabulary with the meanings of its texts.

        Raises NoEncoderError where the sentence encoder is not installed, ValueError if the texts are not known.
        """
        if not self.texts:
            raise ValueError(
                f"paraphrases: there are more than {MOST_TEXTS} different texts, which are no instructions; use "
                "paraphrases: false"
            )
        return replace(self, meanings=Meanings.of(self.texts))

    def get_ready(self) -> str:
        """Load the sentence encoder, if there are meanings, so that the first new text does not wait for it.

        Returns why it cannot be used, "" if it can: then texts that were not shown are unknown.
        """
        try:
            if self.meanings is not None:
                self.meanings.nearest(self.texts[0])
        except NoEncoderError as error:
            return str(error)
        return ""

    @property
    def size(self) -> int:
        """The number of tokens, with those for padding and unknown words."""
        return len(self.words) + 2

    def encode(self, text: str) -> NDArray[np.int64]:
        """Return the tokens (L,) of a text; UNKNOWN for other words, PADDING after its end.

        With meanings, those of the shown text that it is taken for, if there is one.
        """
        words = words_of(self._taken_for(text)[0])
        tokens = [self._places.get(word, UNKNOWN) for word in words[: self.tokens]]
        return np.array(tokens + [PADDING] * (self.tokens - len(tokens)), dtype=np.int64)

    def strangeness(self, text: str) -> float:
        """Return 0 for a text that was shown, otherwise 1 and one more for each word that was not.

        Where the shown texts are not known, the number of words that were not shown. With meanings, 0 to 1 for a text
        that is taken for a shown one: 0 if no other one is nearly as near.
        """
        return self._taken_for(text)[1]

    def understanding(self, text: str) -> str:
        """Return what a text that was not shown is taken for, in words; "" for one that was, or where none is known."""
        spoken = " ".join(words_of(text))
        if not self._shown or spoken in self._shown:
            return ""
        taken = self._taken_for(text)[0]
        return (
            f"it is taken for {taken!r}" if taken in self._shown else "it means none of those that were shown"
        )

    def _taken_for(self, text: str) -> tuple[str, float]:
        """Return the text whose tokens count, and the strangeness."""
        words = words_of(text)
        spoken = " ".join(words)
        if spoken in self._shown:
            return spoken, 0.0
        unknown = float(bool(self._shown)) + sum(word not in self._places for word in words)
        if self.meanings is None or _NEGATION.search(text.lower()):
            return spoken, unknown
        if spoken not in self._taken:
            if len(self._taken) >= MOST_MEANINGS:
                self._taken.clear()
            self._taken[spoken] = self._nearest(text) or (spoken, unknown)
        return self._taken[spoken]

    def _nearest(self, text: str) -> tuple[str, float] | None:
        """Return the shown text that is nearest in meaning and the strangeness; None if none of them is meant."""
        assert self.meanings is not None
        try:
            likeness = self.meanings.nearest(text)
        except NoEncoderError:  # `get_ready` told
            return None
        if likeness.strangeness is None:
            return None
        return self.texts[likeness.place], likeness.strangeness

    @cached_property
    def _taken(self) -> dict[str, tuple[str, float]]:
        return {}

    @cached_property
    def _shown(self) -> frozenset[str]:
        return frozenset(self.texts)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words, start=UNKNOWN + 1)}


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case; punctuation marks are words of their own."""
    return _WORD.findall(text.lower())
