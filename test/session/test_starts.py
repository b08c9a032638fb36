"""Recorded moments, written to a file and read again."""

import numpy as np
import pytest

from il_ros.episodes.layout import EpisodeInfo
from il_ros.session.relabelling.moments import MarkedMoment, RelabelError
from il_ros.session.relabelling.starts import read_starts, write_starts


def moment(seed):
    return MarkedMoment(EpisodeInfo("episode_000007", seed=seed), 1.25, "marked", np.array([0.1, 1 / 3]))


def test_a_state_is_read_back_exactly(tmp_path):
    write_starts(tmp_path / "m.json", [moment(4)])
    (start,) = read_starts(tmp_path / "m.json")
    assert (start.words, start.seed) == ("episode_000007 at 1.25 s: marked", 4)
    assert start.state == (0.1, 1 / 3)


def test_an_episode_without_its_seed_is_named(tmp_path):
    with pytest.raises(RelabelError, match="episode_000007: was recorded without"):
        write_starts(tmp_path / "m.json", [moment(None)])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("no", "m.json: invalid JSON"),
        ("[]", "m.json: must be a list of at least one moment"),
        ('[{"words": "a", "seed": "1", "state": [1]}]', "entry 0: seed: must be a whole number, not '1'"),
        ('[{"words": "a", "seed": 1, "state": [NaN]}]', "entry 0: state: must be a finite number, not nan"),
        ('[{"words": "a", "seed": 1}]', "entry 0: .*state"),
    ],
)
def test_an_invalid_file_is_refused_with_file_and_entry(tmp_path, text, message):
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_starts(tmp_path / "m.json")
