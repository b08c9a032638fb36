"""Import of robomimic's HDF5 files."""

import json

import h5py
import made_episodes as made
import numpy as np
import pytest
import robomimic_files
from robomimic_files import LENGTHS, values

from il_ros.cli.main import main
from il_ros.core import contract as contracts
from il_ros.episodes import layout
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.episodes.bag.reader import open_bag
from il_ros.episodes.catalogue import scan
from il_ros.episodes.exchange import bags
from il_ros.episodes.exchange.errors import ExchangeError
from il_ros.episodes.exchange.hdf5.draft import draft_contract
from il_ros.episodes.exchange.hdf5.ingest import import_robomimic


@pytest.fixture
def path(tmp_path):
    return robomimic_files.write(tmp_path / "lift.hdf5")


def arrays(root, contract):
    dataset = Dataset.open(root, contract, validation=0)
    assert dataset.summary.left_out == ()
    return dataset.train


def test_every_number_and_pixel_is_kept_in_the_order_of_the_demonstrations(path, tmp_path):
    report = import_robomimic(path, tmp_path / "episodes")
    found = arrays(tmp_path / "episodes", report.contract)
    assert [len(episode) for episode in found] == [6, 4, 5]
    assert [len(episode.runs) for episode in found] == [1, 1, 1]
    for episode, name in zip(found, LENGTHS, strict=True):
        wanted = values(name)
        np.testing.assert_array_equal(episode.observations["robot0_eef_pos"], wanted["obs/robot0_eef_pos"])
        np.testing.assert_array_equal(episode.observations["object"], wanted["obs/object"])
        np.testing.assert_array_equal(episode.observations["agentview_image"], wanted["obs/agentview_image"])
        np.testing.assert_array_equal(episode.commands, wanted["actions"])
    assert [episode.outcome for episode in found] == ["success", "unmarked", "success"]


def test_the_rest_is_kept_in_the_bag_or_named(path, tmp_path):
    report = import_robomimic(path, tmp_path / "episodes")
    bag = open_bag(tmp_path / "episodes/episode_000001")
    assert bag.topics["/robomimic/extra/states"].messages == 6
    kept = bag.metadata[bags.ORIGIN]
    assert (kept["model_file"], kept["masks"], kept["demo"]) == ("<mujoco/>", "train", "demo_0")
    assert json.loads(kept["env_args"])["env_name"] == "Lift"
    notes = "\n".join(report.notes)
    assert "masks of the file: train (2), valid (1)" in notes
    assert "'states' on /robomimic/extra/states" in notes
    assert "2 episodes whose last reward is 1" in notes
    assert "next_obs" not in notes


def test_a_rate_that_can_not_be_and_a_missing_file_are_named(path, tmp_path):
    with pytest.raises(ExchangeError, match="the rate is 0 frames per second; it must be above 0"):
        import_robomimic(path, tmp_path / "episodes", rate_hz=0)
    with pytest.raises(ExchangeError, match=r"none.hdf5: there is no such file$"):
        import_robomimic(tmp_path / "none.hdf5", tmp_path / "episodes")


def test_a_drafted_contract_has_the_rate_that_was_asked_for(path, tmp_path):
    report = import_robomimic(path, tmp_path / "episodes", rate_hz=30_000 / 1001)
    assert report.contract.rate_hz == pytest.approx(29.97, rel=1e-5)


def test_a_mask_chooses_demonstrations(path, tmp_path):
    report = import_robomimic(path, tmp_path / "episodes", mask="valid")
    assert [len(episode) for episode in arrays(tmp_path / "episodes", report.contract)] == [4]
    with pytest.raises(ExchangeError, match="has no mask 'test'; it has: train, valid"):
        import_robomimic(path, tmp_path / "other", mask="test")


def test_the_commands_draft_import_and_train(path, tmp_path, capsys):
    root, drafted = tmp_path / "episodes", tmp_path / "lift.yaml"
    assert main(["contract", "from-robomimic", str(path), "-o", str(drafted)]) == 0
    assert "contract 'lift', 20 Hz, 3 observations, 7 commanded numbers" in capsys.readouterr().out
    words = ["episodes", "import", "robomimic", str(path), "--root", str(root), "--contract", str(drafted)]
    assert main(words) == 0
    assert main(words) == 0
    assert "3 episodes had been imported before" in capsys.readouterr().out
    quick = ["--set", "inputs=[object]", "--set", "epochs=2", "--set", "hidden=[8]"]
    assert main(["train", str(root), "--out", str(tmp_path / "out"), *quick]) == 0
    assert layout.load_info(root / "episode_000001").instruction == "Lift"


def test_an_interrupted_import_goes_on(path, tmp_path, monkeypatch):
    fill = bags._fill

    def failing(bag, contract, episode, start_ns):
        fill(bag, contract, episode, start_ns)
        if episode.number == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(bags, "_fill", failing)
    with pytest.raises(KeyboardInterrupt):
        import_robomimic(path, tmp_path / "episodes")
    assert [entry.state for entry in scan(tmp_path / "episodes").entries] == ["ready", "incomplete"]
    monkeypatch.setattr(bags, "_fill", fill)
    assert import_robomimic(path, tmp_path / "episodes").before == 1
    assert [entry.state for entry in scan(tmp_path / "episodes").entries] == ["ready"] * 3


def test_an_export_of_this_package_comes_back_under_its_contract(tmp_path):
    """Its attributes: contract, and of each demonstration outcome and instruction."""

    def write(file):
        data = file.create_group("data")
        data.attrs["contract"] = made.TEXT
        demo = data.create_group("demo_0")
        demo.attrs.update({"num_samples": 3, "outcome": "failure", "instruction": "pick"})
        demo["actions"] = np.arange(9.0).reshape(3, 3) / 100
        demo["obs/joints"] = np.arange(9.0).reshape(3, 3)
        demo["obs/camera"] = np.full((3, 6, 8, 3), 7, np.uint8)

    with h5py.File(tmp_path / "own.hdf5", "w") as file:
        write(file)
    report = import_robomimic(tmp_path / "own.hdf5", tmp_path / "episodes")
    assert report.contract == made.CONTRACT
    with pytest.raises(ExchangeError, match=r"has rate_hz 20, not 7 as asked for \(--rate\)"):
        import_robomimic(tmp_path / "own.hdf5", tmp_path / "other", rate_hz=7)
    assert not (tmp_path / "other").exists()
    (episode,) = arrays(tmp_path / "episodes", made.CONTRACT)
    np.testing.assert_array_equal(episode.commands, np.arange(9.0).reshape(3, 3) / 100)
    assert episode.outcome == "failure"
    assert layout.load_info(tmp_path / "episodes/episode_000001").instruction == "pick"


def set_attribute(place, name, value):
    def change(file):
        file[place].attrs[name] = value

    return change


def replaced(place, value, **options):
    def change(file):
        del file[place]
        file.create_dataset(place, data=value, **options)

    return change


def linked(place, link):
    def change(file):
        del file[place]
        file[place] = link

    return change


def unwritten(file):
    del file["data/demo_0/actions"]
    file.create_dataset("data/demo_0/actions", (6, 7), "f8", chunks=(2, 7))[:4] = 1


def external(file):
    del file["data/demo_0/actions"]
    file.create_dataset("data/demo_0/actions", (6, 7), "f8", external=[("/etc/hostname", 0, 336)])


def virtual(file):
    del file["data/demo_0/actions"]
    source = h5py.VirtualSource("/etc/other.hdf5", "actions", shape=(6, 7))
    made_of = h5py.VirtualLayout(shape=(6, 7), dtype="f8")
    made_of[:] = source
    file.create_virtual_dataset("data/demo_0/actions", made_of)


REFUSED = {
    r"num_samples of data/demo_2 is None": lambda file: file["data/demo_2"].attrs.pop("num_samples"),
    r"num_samples of data/demo_2 is 0": set_attribute("data/demo_2", "num_samples", 0),
    r"data/demo_2/actions has shape \(4, 7\); num_samples says 5 rows": set_attribute(
        "data/demo_2", "num_samples", 5
    ),
    r"data has 'take'; a demonstration's name": lambda file: file.move("data/demo_2", "data/take"),
    r"env_args of data can't be read: not JSON": set_attribute("data", "env_args", "{"),
    r"env_args has no env_kwargs.control_freq; give": set_attribute("data", "env_args", "{}"),
    r"mask/train has 'demo_7', which is not in data": replaced("mask/train", np.array([b"demo_7"])),
    r"actions of demo_0 has shape \(6,\); it must be \(N, A\)": replaced("data/demo_0/actions", np.zeros(6)),
    r"obs/object of demo_2 has frames of shape \(3,\)": replaced("data/demo_2/obs/object", np.zeros((4, 3))),
    r"obs/object of demo_10 holds float64 that are not all": replaced(
        "data/demo_10/obs/object", np.full((5, 10), np.nan)
    ),
    r"data/demo_0/actions was not written completely": unwritten,
    r"data/demo_0/actions has its numbers in another file": external,
    r"data/demo_0/actions has its numbers in another": virtual,
    r"data/demo_0 is a link": linked("data/demo_0", h5py.ExternalLink("/etc/other.hdf5", "/data")),
    r"data/demo_0/obs is a link": linked("data/demo_0/obs", h5py.SoftLink("/data/demo_2/obs")),
    r"data is a Dataset; it must be a Group": replaced("data", np.zeros(3)),
}


@pytest.mark.parametrize("message", REFUSED)
def test_a_file_that_can_not_be_read_is_refused(tmp_path, message):
    path = robomimic_files.write(tmp_path / "lift.hdf5", REFUSED[message])
    with pytest.raises(ExchangeError, match=message):
        import_robomimic(path, tmp_path / "episodes")


def test_what_is_no_hdf5_file_is_refused(tmp_path):
    (tmp_path / "a.hdf5").write_text("no")
    with pytest.raises(ExchangeError, match=r"a.hdf5: is not a readable HDF5 file"):
        import_robomimic(tmp_path / "a.hdf5", tmp_path / "episodes")


def test_a_contract_that_does_not_fit_is_named(path, tmp_path):
    text = draft_contract(path).replace("size: 10", "size: 9")
    with pytest.raises(ExchangeError, match=r"obs/object has frames of shape \(10,\).*object needs \(9,\)"):
        import_robomimic(path, tmp_path / "episodes", contract=contracts.parse(text, "drafted"))
    renamed = contracts.parse(draft_contract(path).replace("  object:", "  thing:"), "drafted")
    with pytest.raises(
        ExchangeError, match=r"obs has no 'thing' for thing; it has agentview_image \(24, 32, 3\)"
    ):
        import_robomimic(path, tmp_path / "episodes", contract=renamed)
    report = import_robomimic(path, tmp_path / "episodes", contract=renamed, observations={"thing": "object"})
    assert arrays(tmp_path / "episodes", report.contract)[0].observations["thing"].shape == (6, 10)
