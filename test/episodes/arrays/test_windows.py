"""Windows of recorded frames: the ticks that a live window would have held, whoever drove, from the bag on."""

import json

import made_episodes as made
import numpy as np
import pytest

from il_ros.core.contract import parse
from il_ros.core.synchroniser import Observation, Synchroniser
from il_ros.episodes.arrays import cache
from il_ros.episodes.arrays.dataset import Dataset, DatasetError
from il_ros.episodes.catalogue import look
from il_ros.policies.features import Inputs
from il_ros.policies.window import TickWindow
from il_ros.training.samples import samples

INPUTS = Inputs.of(made.CONTRACT)
OPTIONAL = Inputs.of(made.CONTRACT, optional=("camera",))


def driven(tick, source):
    return made.decision(tick, authority=source, mode="hg_dagger")


def episode(root, drivers, blind=()):
    """Write an episode: at tick k the source `drivers[k]` drives (p policy, e expert, - no decision, so no tick)."""
    items = []
    for tick, driver in enumerate(drivers):
        items += [] if tick in blind else [made.image(tick)]
        items += [made.joints(tick)]
        items += [] if driver == "-" else [driven(tick, {"p": "policy", "e": "expert"}[driver])]
    return made.write(root, items, text=made.TEXT)


def windows(arrays, history, inputs=INPUTS):
    """Return the first joint, which counts the ticks, of the existing ticks of each window."""
    made_samples = samples([arrays], inputs, 1, history=history)
    joint = made_samples.frames.features[:, 0]
    both = zip(made_samples.window, made_samples.existing, strict=True)
    return [joint[window[existing]].tolist() for window, existing in both]


def opened(root, **options):
    return Dataset.open(root, made.CONTRACT, validation=0, **options).train[0]


def test_the_window_of_a_takeover_holds_the_ticks_at_which_the_policy_drove(tmp_path):
    episode(tmp_path, "ppppeepe")
    arrays = opened(tmp_path, history=3)
    assert len(arrays) == 3  # the policy's ticks are no frames
    assert windows(arrays, 3) == [[2, 3, 4], [3, 4, 5], [5, 6, 7]]
    assert len(arrays.unlabelled) == 3  # ticks 2, 3 and 6: tick 0 and 1 are in no window
    assert windows(arrays, 1) == [[4], [5], [7]]


@pytest.mark.parametrize(
    ("drivers", "steps", "ends"),
    [("ppeepe", 6, True), ("peepp", 5, False), ("eepp-p", 6, False), ("ppe-", 3, True)],
)
def test_an_episode_knows_its_ticks_beside_its_frames(tmp_path, drivers, steps, ends):
    episode(tmp_path, drivers)
    arrays = opened(tmp_path)
    assert (arrays.steps, arrays.ends_with_a_frame) == (steps, ends)


def test_arrays_that_do_not_know_it_are_made_again(tmp_path):
    episode(tmp_path, "peepp")
    opened(tmp_path)
    (manifest,) = tmp_path.rglob("manifest.json")
    values = json.loads(manifest.read_text())
    del values["span_ns"]
    manifest.write_text(json.dumps(values))
    assert not opened(tmp_path).ends_with_a_frame
    manifest.write_text(
        json.dumps({**values, "skipped": {}})
    )  # every tick is a frame: what is there is enough
    assert opened(tmp_path).span_ns is None


def test_a_window_begins_after_a_gap_and_at_the_first_tick(tmp_path):
    episode(tmp_path, "pe--pee")
    assert windows(opened(tmp_path, history=4), 4) == [[0, 1], [4, 5], [4, 5, 6]]


def test_offline_windows_are_those_of_the_policy_server(tmp_path):
    drivers = "ppepp-peeppppee"
    episode(tmp_path, drivers)
    synchroniser, live, expected = Synchroniser(made.CONTRACT.observations), TickWindow(4, made.PERIOD_NS), []
    for tick, driver in enumerate(drivers):
        for item in (made.image(tick), made.joints(tick)):
            synchroniser.push(item.topic.lstrip("/"), item.raw, item.log_ns)
        if driver == "-":  # the live window has the ticks that were answered
            continue
        observation = synchroniser.sample(made.stamp(tick))
        assert isinstance(observation, Observation)
        window = live.push(observation.tick_ns, observation.values)
        if driver == "e":
            expected.append([each["joints"][0] for each in window])
    assert windows(opened(tmp_path, history=4), 4) == expected


def test_the_cache_is_made_anew_for_a_longer_window_only(tmp_path):
    entry = look(episode(tmp_path, "pppee"))
    lengths = []
    for history in (1, 3, 2, 1, 4):
        arrays = cache.Conversion(made.CONTRACT, tmp_path / "cache", history=history).load(entry)
        lengths.append(len(arrays.unlabelled))
    assert lengths == [0, 2, 2, 2, 3]


def test_a_tick_without_an_optional_camera_is_a_frame_with_a_mask(tmp_path):
    episode(tmp_path, "peeeeee", blind=(3, 4, 5, 6))  # its last picture, of tick 2, is 0.12 s old at most
    without = opened(tmp_path)
    assert without.ticks_ns.tolist() == [made.stamp(tick) for tick in (1, 2, 3, 4)]
    arrays = opened(tmp_path, optional=("camera",))
    assert arrays.ticks_ns.tolist() == [made.stamp(tick) for tick in (1, 2, 3, 4, 5, 6)]
    assert arrays.absent["camera"].tolist() == [False] * 4 + [True] * 2
    assert not arrays.observations["camera"][4:].any()
    assert list(arrays.observation(5)) == ["joints"]
    frames = samples([arrays], OPTIONAL, 1).frames
    assert frames.absent["camera"].tolist() == [False] * 4 + [True] * 2


def test_an_episode_may_lack_the_topic_of_an_optional_camera(tmp_path):
    episode(tmp_path, "eee", blind=range(3))
    with pytest.raises(DatasetError, match="camera needs topic camera/image_raw"):
        opened(tmp_path)
    assert opened(tmp_path, optional=("camera",)).absent["camera"].all()


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("joints", "'joints' is the contract's trigger; without it there is no tick"),
        ("gripper", "'gripper' is the reference of action 'arm'; it must always be there"),
        ("arm", "'arm' is not among the inputs"),
    ],
)
def test_what_a_tick_or_an_action_needs_is_never_optional(key, said):
    line = (
        "  gripper: {topic: gripper_states, type: sensor_msgs/msg/JointState, names: [a, b], max_age_s: 1}\n"
    )
    text = made.TEXT.replace("actions:", line + "actions:").replace(
        "reference: joints", "reference: gripper", 1
    )
    with pytest.raises(ValueError, match=said):
        Inputs.of(parse(text, "own.yaml"), optional=(key,))


def test_windows_hold_the_mask_of_unlabelled_ticks(tmp_path):
    episode(tmp_path, "eeppppe", blind=(2, 3, 4, 5))
    arrays = opened(tmp_path, history=3, optional=("camera",))
    made_samples = samples([arrays], OPTIONAL, 1, history=3)
    assert windows(arrays, 3, OPTIONAL)[-1] == [4, 5, 6]
    # the picture of tick 1 is 0.15 s old at tick 4, older than 0.12 s; tick 6 has its own
    assert made_samples.frames.absent["camera"][made_samples.window[-1]].tolist() == [True, True, False]
    assert (
        np.asarray(made_samples.frames.images["camera"].take(made_samples.window[-1].tolist()))[2].max() == 6
    )
