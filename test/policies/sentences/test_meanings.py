"""What a new text is taken for: cosines and margins by hand, and what a vocabulary makes of them."""

import numpy as np
import pytest

from il_ros.policies.sentences import encoder
from il_ros.policies.sentences.encoder import NoEncoderError
from il_ros.policies.sentences.meanings import Likeness, Meanings
from il_ros.policies.vocabulary import Vocabulary

SHOWN = ["go left", "go right"]


class Made:
    """An encoder of two numbers: how much a text is about left and about right."""

    sha256 = "a" * 64
    calls = 0
    known = {  # noqa: RUF012
        "go left": (1.0, 0.0),
        "go right": (0.0, 1.0),
        "turn left": (0.8, 0.6),  # margin 0.2
        "rather left": (0.735, 0.678),  # margin 0.057
        "anywhere": (0.71, 0.70),  # margin 0.01
        "sing": (0.2, 0.1),
    }

    def encode(self, text):
        self.calls += 1
        return np.array(self.known[text], dtype=np.float32)


@pytest.fixture
def made(monkeypatch):
    one = Made()
    monkeypatch.setattr(encoder, "installed", lambda: one)
    return one


@pytest.fixture
def words(made):
    return Vocabulary.from_bytes(Vocabulary.of(SHOWN).with_meanings().to_bytes())


def test_the_nearest_is_the_one_of_the_largest_cosine(made):
    found = Meanings.of(SHOWN).nearest("turn left")
    assert found.place == 0
    assert (found.cosine, found.margin) == pytest.approx((0.8, 0.2))


def test_of_one_text_the_next_one_counts_as_0_3(made):
    assert Meanings.of(["go left"]).nearest("turn left").margin == pytest.approx(0.5)


def test_the_strangeness_falls_with_the_margin():
    assert Likeness(0, 0.8, 0.2).strangeness == 0.0
    assert Likeness(0, 0.8, 0.075).strangeness == pytest.approx(0.25)
    assert Likeness(0, 0.8, 0.049).strangeness is None
    assert Likeness(0, 0.29, 0.2).strangeness is None


def test_a_paraphrase_has_the_tokens_of_the_text_it_is_taken_for(words):
    assert words.encode("turn left").tolist() == words.encode("go left").tolist()
    assert words.strangeness("turn left") == 0.0
    assert words.encode("rather left").tolist() == words.encode("go left").tolist()
    assert words.strangeness("rather left") == pytest.approx(0.43, abs=0.01)  # 1 - 0.057 / 0.1


@pytest.mark.parametrize(("text", "strange"), [("anywhere", 2.0), ("sing", 2.0)])
def test_what_means_none_or_either_stays_strange(words, text, strange):
    assert words.encode(text).tolist() == [1, 0]
    assert words.strangeness(text) == strange


@pytest.mark.parametrize(
    "text", ["don't go left", "do not go left", "go right, never left", "Stop", "don’t go left"]
)
def test_a_negation_is_never_taken_for_what_it_negates(words, made, text):
    before = made.calls
    assert words.strangeness(text) > 1.0
    assert words.encode(text).tolist() != words.encode("go left").tolist()
    assert made.calls == before


def test_what_a_new_text_is_taken_for_is_said(words):
    assert words.understanding("turn left") == "it is taken for 'go left'"
    assert words.understanding("sing") == "it means none of those that were shown"
    assert words.understanding("Go  left") == ""
    assert Vocabulary(("go",), 1).understanding("run") == ""  # the shown texts are not known


def test_a_text_is_encoded_once_and_a_shown_one_never(words, made):
    before = made.calls
    for _ in range(3):
        words.encode("go left")
        words.encode("turn left")
        words.strangeness("turn left")
    assert made.calls == before + 1


def test_without_the_encoder_that_made_them_new_texts_are_unknown_and_shown_ones_are_not(
    words, made, monkeypatch
):
    assert words.get_ready() == ""
    made.sha256 = "b" * 64
    assert "another one than at the training: all-MiniLM-L6-v2 bbbbbbbbbbbb, not" in words.get_ready()
    assert (words.strangeness("go left"), words.strangeness("turn left")) == (0.0, 2.0)

    def missing():
        raise NoEncoderError("it is not installed")

    monkeypatch.setattr(encoder, "installed", missing)
    assert words.get_ready() == "it is not installed"
    assert words.strangeness("turn left") == 2.0
    with pytest.raises(NoEncoderError, match="not installed"):
        Vocabulary.of(SHOWN).with_meanings()


def test_free_speech_has_no_meanings(made):
    with pytest.raises(ValueError, match="more than 1000 different texts"):
        Vocabulary.of([f"say {number}" for number in range(1001)]).with_meanings()


@pytest.mark.parametrize(
    ("meant", "message"),
    [
        ({}, "not the meanings of texts: KeyError"),
        (5, "not the meanings of texts"),
        ({"encoder": "e", "sha256": "s", "vectors": "%"}, "not the meanings of texts"),
        ({"encoder": "e", "sha256": "s", "vectors": ""}, "0 bytes are not the vectors of 2 texts"),
        ({"encoder": "e", "sha256": "s", "vectors": "AAAAAA=="}, "4 bytes are not the vectors of 2 texts"),
        ({"encoder": "e", "sha256": "s", "vectors": "AADAfwAAwH8="}, "not finite"),
    ],
)
def test_damaged_meanings_are_refused(meant, message):
    with pytest.raises(ValueError, match=message):
        Meanings.from_plain(meant, 2)
