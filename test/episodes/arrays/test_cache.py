"""Cached arrays that are damaged, or do not fit the contract, are made again."""

import fcntl
import json

import made_episodes as made
import numpy as np
import pytest

from il_ros.episodes.arrays import cache
from il_ros.episodes.catalogue import look


@pytest.fixture
def kept(tmp_path):
    """An episode, its arrays, and the folder of the cached ones."""
    entry = look(made.write(tmp_path / "episodes", made.recorded(8)))
    arrays = cache.Conversion(made.CONTRACT, tmp_path / "cache").load(entry)
    return entry, arrays, tmp_path / "cache" / made.CONTRACT.hash / entry.name


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("manifest.json", b"{}"),
        ("manifest.json", b"[" * 100_000),
        ("manifest.json", b""),
        ("commands.npy", b""),
        ("commands.npy", b"\x93NUMPY\x01\x00\xf6\x00{'descr': '<i8', 'for"),
        ("observation.joints.npy", b"\0" * 4096),
    ],
)
def test_a_damaged_file_is_made_again(kept, tmp_path, name, content):
    entry, arrays, folder = kept
    (folder / name).write_bytes(content)
    again = cache.Conversion(made.CONTRACT, tmp_path / "cache").load(entry)
    np.testing.assert_array_equal(again.commands, arrays.commands)
    np.testing.assert_array_equal(again.observations["joints"], arrays.observations["joints"])


def test_a_manifest_of_other_types_is_made_again(kept, tmp_path):
    entry, arrays, folder = kept
    for key in ("authority", "takeovers_ns"):
        manifest = json.loads((folder / "manifest.json").read_text())
        (folder / "manifest.json").write_text(json.dumps({**manifest, key: 5}))
        assert cache.Conversion(made.CONTRACT, tmp_path / "cache").load(entry).authority == arrays.authority


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("observation.joints", np.zeros((8, 2))),  # there are three joints
        ("observation.joints", np.zeros((8, 3), np.int64)),
        ("commands", np.zeros((8, 4))),
        ("ticks_ns", np.arange(8.0)),
    ],
)
def test_arrays_that_do_not_fit_the_contract_are_made_again(kept, tmp_path, name, wrong):
    entry, arrays, folder = kept
    np.save(folder / f"{name}.npy", wrong)
    again = cache.Conversion(made.CONTRACT, tmp_path / "cache").load(entry)
    np.testing.assert_array_equal(again.observations["joints"], arrays.observations["joints"])
    np.testing.assert_array_equal(again.commands, arrays.commands)
    np.testing.assert_array_equal(again.ticks_ns, arrays.ticks_ns)


def test_an_episode_that_another_computer_converts_is_left_to_it(tmp_path):
    entries = [look(made.write(tmp_path, made.recorded(4), number)) for number in (1, 2)]
    conversion = cache.Conversion(made.CONTRACT, tmp_path / "cache")
    folder = tmp_path / "cache" / made.CONTRACT.hash
    folder.mkdir(parents=True)
    with (folder / f".{entries[0].name}.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        for entry in entries:
            conversion.prepare(entry)  # does not wait
        assert [path.parent.name for path in folder.rglob("commands.npy")] == [entries[1].name]
    conversion.prepare(entries[0])
    assert conversion.ready(entries[0]) is not None
