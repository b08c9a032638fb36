"""Text as word pieces, by hand from a short list."""

import pytest

from il_ros.policies.sentences.word_pieces import MOST_PIECES, WordPieces

LIST = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]"),
    *("touch", "red", "un", "##aff", "##able", "unable", ".", "'", "t", "don", "日"),
]
KNOWN = WordPieces(LIST)


def pieces(text):
    return [LIST[number] for number in KNOWN.encode(text)[1:-1]]


def test_a_text_begins_and_ends_with_its_own_pieces():
    assert KNOWN.encode("touch") == [2, 4, 3]
    assert KNOWN.encode("") == KNOWN.encode("  \n\t") == [2, 3]


def test_the_longest_pieces_are_taken_from_left_to_right():
    assert pieces("unable") == ["unable"]
    assert pieces("unaffable") == ["un", "##aff", "##able"]
    assert pieces("unred") == ["[UNK]"]  # 'red' goes on with nothing: ##red is not in the list
    assert pieces("t" * 101) == ["[UNK]"]


def test_case_accents_and_hidden_characters_do_not_count():
    assert pieces("TOUCH Réd") == ["touch", "red"]
    assert pieces("to\u200buch\x00 red\ufffd") == ["touch", "red"]


def test_punctuation_and_ideographs_stand_alone():
    assert pieces("don't touch.red") == ["don", "'", "t", "touch", ".", "red"]
    assert pieces("red日red") == ["red", "日", "red"]


def test_long_texts_are_cut_and_end_all_the_same():
    numbers = KNOWN.encode("touch " * 1000)
    assert (len(numbers), numbers[0], numbers[-1]) == (MOST_PIECES, 2, 3)


def test_a_list_without_the_special_pieces_is_refused():
    with pytest.raises(ValueError, match=r"lacks \[SEP\]"):
        WordPieces(["[CLS]", "[UNK]"])
