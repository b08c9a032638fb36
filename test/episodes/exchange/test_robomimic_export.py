"""The export to robomimic: the layout of its documentation, field by field, and nothing half written."""

import json
import os

import numpy as np
import pytest

from il_ros.cli import main as cli
from il_ros.core import contract as contracts
from il_ros.core import messages
from il_ros.envs.episode_log import EpisodeLog
from il_ros.envs.write_episode import observation_message, write_episode
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.episodes.catalogue import scan
from il_ros.episodes.exchange.errors import ExchangeError
from il_ros.episodes.exchange.hdf5 import demos
from il_ros.episodes.exchange.hdf5.draft import draft_contract
from il_ros.episodes.exchange.hdf5.export import export_robomimic as export
from il_ros.episodes.exchange.hdf5.ingest import import_robomimic
from il_ros.episodes.recording.options import Label
from il_ros.records.decision import Decision

h5py = pytest.importorskip("h5py")

OWN = contracts.parse(
    """\
name: arrays
rate_hz: 20
trigger: state
observations:
  state: {topic: state, type: std_msgs/msg/Float64MultiArray, names: [a, b], max_age_s: 0.1}
  camera: {topic: camera, type: sensor_msgs/msg/Image, image: {width: 4, height: 3}, max_age_s: 0.1}
  words: {topic: words, type: std_msgs/msg/String, max_age_s: 0.1}
actions:
  arm: {topic: arm, type: std_msgs/msg/Float64MultiArray, names: [x], quantity: bounded, limits: {lower: -1, upper: 2}}
""",
    "arrays.yaml",
)


def arrays(steps, first=0):
    """States count upwards, pixels too, and actions are a tenth of the step."""
    count = np.arange(first, first + steps + 1)
    return {
        "state": np.stack([count, count + 0.5], axis=1),
        "camera": np.broadcast_to(count[:, None, None, None], (steps + 1, 3, 4, 3)).astype(np.uint8),
        "words": np.array(["fold"] * (steps + 1)),
    }, count[:-1, None] / 10


def written(root, lengths, **options):
    for length in lengths:
        write_episode(root, OWN, *arrays(length), task="Fold-v0", **options)
    return scan(root).usable


def test_an_episode_is_a_demo_of_robomimics_layout(tmp_path):
    entries = written(tmp_path, [4], rewards=[0.0, 0.5, 0.0, 2.0], success=True, instruction="fold it")
    done = export(entries, OWN, tmp_path / "fold.hdf5", validation=0.0)
    assert (done.demos, done.frames, done.left_out) == (1, 4, ("observation words: text",))
    with h5py.File(tmp_path / "fold.hdf5", "r", swmr=True, libver="latest") as file:  # as robomimic opens it
        assert sorted(file) == ["data", "mask"]
        data, demo = file["data"], file["data/demo_0"]
        assert data.attrs["total"] == 4
        environment = json.loads(data.attrs["env_args"])
        assert environment == {
            "env_name": "Fold-v0",
            "type": 2,
            "env_type": 2,
            "env_version": None,
            "env_kwargs": {},
        }
        assert json.loads(data.attrs["action_names"]) == ["arm/x"]
        assert (data.attrs["action_lower"].tolist(), data.attrs["action_upper"].tolist()) == ([-1], [2])
        assert contracts.parse(data.attrs["contract"], "exported") == OWN
        assert sorted(demo) == ["actions", "dones", "next_obs", "obs", "rewards"]
        assert demo.attrs["num_samples"] == 4
        assert (demo.attrs["episode"], demo.attrs["outcome"]) == ("episode_000001", "success")
        assert (demo.attrs["instruction"], demo.attrs["offset"]) == ("fold it", 0)
        assert demo["actions"][:].tolist() == [[0.0], [0.1], [0.2], [0.3]]
        assert demo["rewards"][:].tolist() == [0.0, 0.5, 0.0, 2.0]
        assert demo["dones"][:].tolist() == [0, 0, 0, 1]
        assert demo["obs/state"][:].tolist() == [[0, 0.5], [1, 1.5], [2, 2.5], [3, 3.5]]
        assert demo["next_obs/state"][:].tolist() == [[1, 1.5], [2, 2.5], [3, 3.5], [4, 4.5]]
        for kind, first in (("obs", 0), ("next_obs", 1)):
            camera = demo[f"{kind}/camera"]
            assert (camera.shape, camera.dtype, camera.chunks) == ((4, 3, 4, 3), np.uint8, (1, 3, 4, 3))
            assert camera[:, 0, 0, 0].tolist() == list(range(first, first + 4))
        assert file["mask/train"][:].tolist() == [b"demo_0"]
        assert file["mask/valid"].shape == (0,)


def test_without_recorded_rewards_success_earns_1_at_its_end(tmp_path):
    write_episode(tmp_path, OWN, *arrays(3), task="a", success=True)
    write_episode(tmp_path, OWN, *arrays(3), task="a", success=False)
    export(scan(tmp_path).usable, OWN, tmp_path / "out.hdf5", validation=0.0)
    with h5py.File(tmp_path / "out.hdf5") as file:
        assert file["data/demo_0/rewards"][:].tolist() == [0, 0, 1]
        assert file["data/demo_1/rewards"][:].tolist() == [0, 0, 0]


def test_when_nothing_was_observed_after_the_last_command_its_observation_is_repeated(tmp_path):
    observations, actions = arrays(3)
    write_episode(tmp_path, OWN, {key: values[:3] for key, values in observations.items()}, actions)
    export(scan(tmp_path).usable, OWN, tmp_path / "out.hdf5", validation=0.0)
    with h5py.File(tmp_path / "out.hdf5") as file:
        assert file["data/demo_0/next_obs/state"][:, 0].tolist() == [1, 2, 2]


def test_a_tick_without_a_label_divides_an_episode_and_gives_the_next_observation(tmp_path):
    log = EpisodeLog(OWN, tmp_path)
    log.begin(Label("a"))
    observations, _ = arrays(6)
    for tick in range(6):
        now_ns = 1_000_000_000 + tick * OWN.period_ns
        for spec in OWN.observations:
            message = observation_message(spec, observations[spec.key][tick], now_ns)
            raw = messages.encode(spec.type, message)
            log.message(spec.topic, spec.type, raw, now_ns)
        who = "policy" if tick == 2 else "expert"  # the policy's commands are no labels
        log.decision(Decision(0, 0, who, "", {who: (0.5,)}, (0.5,), mode="hg_dagger"))
    log.end("failure")
    export(scan(tmp_path).usable, OWN, tmp_path / "out.hdf5", validation=0.0)
    with h5py.File(tmp_path / "out.hdf5") as file:
        first, second = file["data/demo_0"], file["data/demo_1"]
        assert first["obs/state"][:, 0].tolist() == [0, 1]
        assert first["next_obs/state"][:, 0].tolist() == [1, 2]  # of the tick that the policy answered
        assert second["obs/state"][:, 0].tolist() == [3, 4, 5]
        assert (first.attrs["offset"], second.attrs["offset"]) == (0, 2)
        assert (first["dones"][:].tolist(), second["dones"][:].tolist()) == ([0, 0], [0, 0, 1])


def test_a_contract_is_drafted_at_the_rate_of_an_own_export(tmp_path):
    export(written(tmp_path / "episodes", [4]), OWN, tmp_path / "out.hdf5", validation=0.0)
    assert "rate_hz: 20.0\n" in draft_contract(tmp_path / "out.hdf5")
    assert "rate_hz: 7.0\n" in draft_contract(tmp_path / "out.hdf5", 7.0)


def test_the_masks_are_the_split_of_training_and_the_frames_are_its_arrays(tmp_path):
    entries = written(tmp_path / "episodes", [8] * 10)
    done = export(entries, OWN, tmp_path / "out.hdf5", validation=0.2, seed=3)
    dataset = Dataset.open(tmp_path / "episodes", OWN, validation=0.2, seed=3)
    assert done.frames == dataset.summary.frames == 80
    with h5py.File(tmp_path / "out.hdf5") as file:
        for mask, episodes in (("train", dataset.train), ("valid", dataset.validation)):
            demos = [file["data"][name.decode()] for name in file[f"mask/{mask}"][:]]
            assert [demo.attrs["episode"] for demo in demos] == [episode.name for episode in episodes]
            for demo, episode in zip(demos, episodes, strict=True):
                np.testing.assert_array_equal(demo["actions"][:], episode.commands)
                np.testing.assert_array_equal(demo["obs/camera"][:], episode.observations["camera"])


def test_an_interrupted_export_leaves_no_file_and_goes_on_where_it_stopped(tmp_path):
    entries = written(tmp_path / "episodes", [4, 4], rewards=[1.0] * 4)
    export(entries, OWN, tmp_path / "whole.hdf5")

    def failing(step, given):
        yield given[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(entries, OWN, tmp_path / "out.hdf5", progress=failing)
    assert not (tmp_path / "out.hdf5").exists()
    (part,) = (tmp_path / ".out.hdf5.exporting/segments").iterdir()
    os.utime(part, ns=(1, 1))
    times = []

    def watched(step, given):
        for item in given:
            yield item
            times.append(part.stat().st_mtime_ns)

    assert export(entries, OWN, tmp_path / "out.hdf5", progress=watched).demos == 2
    assert times == [1, 1]  # the first episode was not converted again
    assert (tmp_path / "out.hdf5").read_bytes() == (tmp_path / "whole.hdf5").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["episodes", "out.hdf5", "whole.hdf5"]


def test_a_part_of_another_contract_or_cut_short_is_converted_again(tmp_path):
    entries = written(tmp_path / "episodes", [4])
    part = tmp_path / "part.hdf5"
    first = demos.convert((entries[0], OWN, part))
    assert (first.name, first.task, first.count, first.frames) == ("episode_000001", "Fold-v0", 1, 4)
    other = contracts.parse(OWN.text.replace("upper: 2", "upper: 3"), "other")
    demos.convert((entries[0], other, part))
    whole = part.read_bytes()
    part.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ExchangeError, match=r"part.hdf5: can't be read: .*; repeat the export"):
        demos.demos_in(part)
    assert demos.convert((entries[0], other, part)).frames == 4


def test_a_file_is_not_replaced(tmp_path):
    entries = written(tmp_path / "episodes", [4])
    (tmp_path / "out.hdf5").write_text("mine")
    with pytest.raises(ExchangeError, match=r"out.hdf5 exists; choose another name"):
        export(entries, OWN, tmp_path / "out.hdf5")
    assert (tmp_path / "out.hdf5").read_text() == "mine"


def test_nothing_to_export_is_an_error(tmp_path):
    with pytest.raises(ExchangeError, match="no frame to export: observation words: text"):
        export([], OWN, tmp_path / "out.hdf5")
    assert not list(tmp_path.iterdir())


def test_the_command_says_what_was_left_out(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "episodes", [4, 5])
    assert cli.main(["episodes", "discard", "1", "--reason", "slipped"]) == 0
    assert cli.main(["episodes", "export", "robomimic", "-o", "fold.hdf5"]) == 0
    out = capsys.readouterr().out
    assert "left out episode_000001: " in out
    assert "left out observation words: text" in out
    assert "1 demo, 5 frames in fold.hdf5" in out
    assert cli.main(["episodes", "export", "robomimic", "-o", "fold.hdf5"]) == 1
    assert "fold.hdf5 exists" in capsys.readouterr().err


def test_a_share_of_validation_that_can_not_be_is_named(capsys):
    assert cli.main(["episodes", "export", "robomimic", "-o", "fold.hdf5", "--validation", "7"]) == 1
    assert "validation is 7; it must be a share from 0 to below 1" in capsys.readouterr().err


def test_an_exported_file_comes_in_again_with_the_same_frames(tmp_path):
    words = "  words: {topic: words, type: std_msgs/msg/String, max_age_s: 0.1}\n"
    numbers = contracts.parse(OWN.text.replace(words, ""), "numbers")
    for length in (30, 40):
        observations, actions = arrays(length)
        del observations["words"]
        write_episode(tmp_path / "out", numbers, observations, actions, task="Fold-v0", success=True)
    export(scan(tmp_path / "out").usable, numbers, tmp_path / "fold.hdf5")
    import_robomimic(tmp_path / "fold.hdf5", tmp_path / "in")
    ours = Dataset.open(tmp_path / "out", numbers, validation=0.0).train
    theirs = Dataset.open(tmp_path / "in", numbers, validation=0.0).train
    assert [len(episode) for episode in theirs] == [30, 40]
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one.commands, other.commands)
        for key in ("state", "camera"):
            np.testing.assert_array_equal(one.observations[key], other.observations[key])
        assert other.outcome == "success"
