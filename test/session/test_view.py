"""A camera image as characters of two pixels each."""

import numpy as np

from il_ros.session.view import picture_lines

RED, BLUE = (255, 0, 0), (0, 0, 255)


def flag():
    """Return an image with a red upper half and a blue lower half."""
    picture = np.zeros((96, 96, 3), np.uint8)
    picture[:48], picture[48:] = RED, BLUE
    return picture


def test_a_square_picture_is_square_on_the_screen():
    lines = picture_lines(flag(), width=120, height=40)
    assert len(lines) == 24  # the maximum
    assert {line.count("▀") for line in lines} == {48}  # a character is twice as high as wide
    assert len(picture_lines(flag(), width=120, height=24)) == 16  # eight lines are reserved for text
    assert {line.count("▀") for line in picture_lines(flag(), width=21, height=40)} == {20}


def test_colours_are_at_their_positions():
    lines = picture_lines(flag(), width=120, height=24)
    assert lines[0] == "\x1b[38;2;255;0;0;48;2;255;0;0m" + 32 * "▀" + "\x1b[0m"
    assert lines[-1] == "\x1b[38;2;0;0;255;48;2;0;0;255m" + 32 * "▀" + "\x1b[0m"
    odd = picture_lines(flag(), width=31, height=40)  # 30 columns, 15 rows: row 8 has both colours
    assert odd[7] == "\x1b[38;2;255;0;0;48;2;0;0;255m" + 30 * "▀" + "\x1b[0m"


def test_a_low_terminal_shows_no_image():
    assert picture_lines(flag(), width=80, height=11) == []
