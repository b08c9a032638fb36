"""What the shown texts mean, as vectors: which of them a new text is nearest to."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from il_ros.core.tables import counted
from il_ros.policies.sentences import encoder
from il_ros.policies.sentences.encoder import NoEncoderError

LEAST_COSINE = 0.3
"""A text less alike to every shown one means something else. Sentences on other things have 0.1 to 0.35."""
LEAST_MARGIN, CLEAR_MARGIN = 0.05, 0.1
"""How much more alike to one shown text than to the others a text must be, and from where on that is certain.

Of 48 paraphrases of `touch` the least had 0.11; where no block is named, or two are, or one of another colour, the most
had 0.02, but for crimson (0.07), which is a red.
"""


class Likeness(NamedTuple):
    """The place of the nearest shown text, the cosine with it, and by how much that exceeds the next one's."""

    place: int
    cosine: float
    margin: float

    @property
    def strangeness(self) -> float | None:
        """0 where the nearest is clear, to 1; None: none of the shown texts is meant."""
        if self.cosine < LEAST_COSINE or self.margin < LEAST_MARGIN:
            return None
        return 1.0 - min(self.margin, CLEAR_MARGIN) / CLEAR_MARGIN


@dataclass(frozen=True)
class Meanings:
    """The vectors of N texts, as bytes of float32 (N, D), and the encoder that made them.

    Raises ValueError when the bytes are not finite vectors of `count` texts.
    """

    encoder: str
    sha256: str
    vectors: bytes
    count: int

    def __post_init__(self) -> None:
        if self.count < 1 or not self.vectors or len(self.vectors) % (4 * self.count):
            raise ValueError(
                f"{counted(len(self.vectors), 'byte')} are not the vectors of {counted(self.count, 'text')}"
            )
        if not np.isfinite(self._matrix).all():
            raise ValueError("the vectors of the texts are not finite")

    @classmethod
    def of(cls, texts: Sequence[str]) -> Meanings:
        """Return the meanings of texts. Raises NoEncoderError where the encoder is not installed."""
        made_by = encoder.installed()
        vectors = np.stack([made_by.encode(text) for text in texts])
        return cls(encoder.NAME, made_by.sha256, vectors.tobytes(), len(texts))

    @classmethod
    def from_plain(cls, values: Any, count: int) -> Meanings:
        """Return the inverse of `to_plain`, of `count` texts; raises ValueError when the values are damaged."""
        try:
            vectors = base64.b64decode(values["vectors"], validate=True)
            name, sha256 = str(values["encoder"]), str(values["sha256"])
        except (KeyError, TypeError, binascii.Error) as error:
            raise ValueError(f"not the meanings of texts: {error!r}") from error
        return cls(name, sha256, vectors, count)

    def to_plain(self) -> Mapping[str, str]:
        """Return JSON values."""
        vectors = base64.b64encode(self.vectors).decode()
        return {"encoder": self.encoder, "sha256": self.sha256, "vectors": vectors}

    def nearest(self, text: str) -> Likeness:
        """Return the shown text that a text is nearest to. Of one shown text, the next one counts as LEAST_COSINE.

        Raises NoEncoderError where the encoder is not installed, or is not the one that made the vectors.
        """
        made_by = encoder.installed()
        if made_by.sha256 != self.sha256:
            raise NoEncoderError(
                f"the sentence encoder is another one than at the training: {encoder.NAME} {made_by.sha256[:12]}, not "
                f"{self.encoder} {self.sha256[:12]}"
            )
        cosines = self._matrix @ made_by.encode(text)
        *_, next_one, best = sorted([LEAST_COSINE, *cosines.tolist()])[-2:]
        return Likeness(int(cosines.argmax()), float(cosines.max()), best - next_one)

    @cached_property
    def _matrix(self) -> NDArray[np.float32]:
        return np.frombuffer(self.vectors, np.float32).reshape(self.count, -1)
