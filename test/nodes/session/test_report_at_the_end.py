"""A session's report that cannot be written: the console says why, and how to make it later."""

import made_episodes as made
import numpy as np
import pytest

from il_ros.envs.write_episode import write_episode
from il_ros.nodes.session.console import Console
from il_ros.session import page


@pytest.fixture
def root(tmp_path):
    joints = np.linspace(0.0, 1.0, 60)[:, None] * np.ones(3)
    camera = np.zeros((60, 6, 8, 3), np.uint8)
    commands = np.concatenate([joints[:, :2], np.full((60, 1), 0.05)], axis=1)
    write_episode(tmp_path / "episodes", made.CONTRACT, {"joints": joints, "camera": camera}, commands)
    return tmp_path / "episodes"


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (OSError(28, "No space left on device"), "[Errno 28] No space left on device"),
        (ImportError("plots.so: failed to map segment"), "plots.so: failed to map segment"),
        (MemoryError(), "the memory ran out"),
    ],
)
def test_a_page_that_cannot_be_made_costs_only_the_page(graph, root, monkeypatch, capsys, error, why):
    def fail(*_):
        raise error

    monkeypatch.setattr(page, "write", fail)
    Console(graph.outside, None).report(root)
    printed = capsys.readouterr().out
    assert "episodes kept: 1" in printed
    assert f"no page: {why}; this makes it later: il-ros session report {root}" in printed


def test_without_episodes_there_is_no_report(graph, tmp_path, capsys):
    Console(graph.outside, None).report(tmp_path)
    printed = capsys.readouterr().out
    assert printed.startswith("no report: ")
    assert "later" not in printed
