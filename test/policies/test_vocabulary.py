"""Text as tokens."""

import json

import pytest

from il_ros.policies.vocabulary import Vocabulary, words_of

KNOWN = Vocabulary.of(["Push the block left.", "push the BLOCK", "wait"])


def test_words_are_numbered_from_the_most_frequent():
    assert words_of("Push it, left-most!") == ["push", "it", ",", "left", "-", "most", "!"]
    assert KNOWN.words == ("block", "push", "the", ".", "left", "wait")  # two each, then one each, by name
    assert (KNOWN.tokens, KNOWN.size) == (5, 8)
    assert KNOWN.encode("push left").tolist() == [3, 6, 0, 0, 0]


def test_unknown_words_have_one_token_and_long_texts_are_cut():
    assert KNOWN.encode("lift the Block").tolist() == [1, 4, 2, 0, 0]
    assert KNOWN.encode("push push push push push push").tolist() == [3, 3, 3, 3, 3]
    assert KNOWN.encode("").tolist() == [0, 0, 0, 0, 0]


def test_from_bytes_inverts_to_bytes():
    assert Vocabulary.from_bytes(KNOWN.to_bytes()) == KNOWN
    empty = Vocabulary.of([""])
    assert Vocabulary.from_bytes(empty.to_bytes()).encode("anything").tolist() == [1]


def test_a_text_that_was_not_shown_is_strange_and_each_unknown_word_more_so():
    assert KNOWN.strangeness("PUSH the block left .") == 0.0
    assert KNOWN.strangeness("push left") == 1.0
    assert KNOWN.strangeness("push it gently left") == 3.0  # it, gently
    assert KNOWN.strangeness("") == 1.0


def test_of_a_vocabulary_without_texts_only_unknown_words_are_strange():
    old = Vocabulary.from_bytes(b'{"words": ["push", "left"], "tokens": 2}')  # written before 2026-12
    assert old.strangeness("left push") == 0.0
    assert old.strangeness("left or right") == 2.0
    free = Vocabulary.of([f"say {number}" for number in range(1001)])
    assert free.texts == ()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"{", "Expecting"),
        (b"[]", "not a vocabulary"),
        (b'{"words": ["a"]}', "not a vocabulary: 'tokens'"),
        (b'{"words": "abc", "tokens": 1}', "must be a list of texts"),
        (b'{"words": ["a", "a"], "tokens": 1}', "each of them once"),
        (b'{"words": ["a"], "tokens": 1000000000}', "1 to 64 tokens, not 1000000000"),
        (b'{"words": ["a"], "tokens": 1, "texts": 5}', "texts must be a list of texts"),
        (b'{"words": ["a"], "tokens": true}', "must be a whole number"),
        (
            json.dumps({"words": [str(number) for number in range(10_001)], "tokens": 1}).encode(),
            "at most 10000 words",
        ),
    ],
)
def test_damaged_data_are_an_error(data, message):
    with pytest.raises(ValueError, match=message):
        Vocabulary.from_bytes(data)
