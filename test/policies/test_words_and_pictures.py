"""State, force, pictures and words in one policy: the words select which of two spots in the picture counts."""

import dataclasses

import made_arrays as made
import numpy as np
from conformance import Prepared, Subject

from il_ros.core import contract
from il_ros.episodes.arrays.episode import EpisodeArrays

OTHERS = """  force: {topic: wrench, type: geometry_msgs/msg/WrenchStamped, fields: [force], max_age_s: 0.1}
  words: {topic: words, type: std_msgs/msg/String, max_age_s: 9}
"""
OWN = contract.parse(made.TEXT.replace("actions:", OTHERS + made.CAMERA_LINES), "several.yaml")
RED, GREEN = 0, 1
WORDS = ("touch the red one", "touch the green one")


def episode(number, frames=30):
    """The commands are where the named spot is (across the picture), and a tenth of the force."""
    rng = np.random.default_rng(number)
    named = number % 2
    across = rng.integers(2, 30, (frames, 2))
    camera = np.zeros((frames, 24, 32, 3), np.uint8)
    for colour, row in ((RED, 6), (GREEN, 16)):
        for frame in range(frames):
            place = across[frame, colour]
            camera[frame, row - 2 : row + 2, place - 2 : place + 2, colour] = 255
    force = rng.uniform(-5, 5, (frames, 3))
    commands = np.stack([(across[:, named] - 16) / 70, force[:, 0] / 10], axis=1)
    seen = {"joints": rng.uniform(-0.5, 0.5, (frames, 2)), "force": force, "camera": camera}
    seen |= {"object": np.tile([0.0] * 6 + [1.0], (frames, 1)), "words": np.full(frames, WORDS[named])}
    ticks = np.arange(1, frames + 1) * made.PERIOD_NS
    return EpisodeArrays(
        f"episode_{number:06d}",
        seen,
        commands,
        np.zeros_like(commands),
        ticks,
        made.PERIOD_NS,
        "success",
        "made_up",
    )


def test_the_words_select_what_is_looked_for_in_the_picture():
    settings = {"hidden": (64, 64), "channels": (8, 16, 16), "horizon": 1, "loss": "l1"}
    training = {"epochs": 25, "batch_size": 32, "learning_rate": 0.003, "still_every": 1}
    data = made.dataset(train=1)
    data = dataclasses.replace(data, contract=OWN, train=tuple(map(episode, range(40))), validation=())
    ready = Prepared(Subject("film", settings), OWN, data, training=training)
    ready.train()
    policy = ready.policy()
    right, other, pressed = [], [], []
    for shown in map(episode, range(100, 104)):
        for frame in range(0, len(shown), 3):
            seen = {key: values[frame] for key, values in shown.observations.items()}
            answer = policy.act(seen)[0]
            right.append(abs(answer[0] - shown.commands[frame, 0]))
            pressed.append(abs(answer[1] - shown.commands[frame, 1]))
            swapped = np.array(WORDS[1 - WORDS.index(str(seen["words"]))])
            other.append(abs(policy.act({**seen, "words": swapped})[0, 0] - shown.commands[frame, 0]))
    # places spread over 0.4: without the words, half the mean distance of the two spots, 0.07, is the best
    assert np.mean(right) < 0.02
    assert np.mean(other) > 0.08
    assert np.mean(pressed) < 0.02
