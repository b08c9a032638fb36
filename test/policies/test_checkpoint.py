"""Checkpoints: saving and loading, and rejection of damaged files."""

import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys

import made_arrays as made
import numpy as np
import pytest
import torch
from conformance import WITH_TEXT, Prepared, Subject, with_words
from safetensors.torch import save as save_tensors

from il_ros.policies import checkpoint, lineage
from il_ros.policies.checkpoint import CheckpointError, NotHereError
from il_ros.policies.families.registry import family, make_network
from il_ros.policies.features import Inputs
from il_ros.policies.lineage import REFUSED, ROLLED_BACK, Lineage
from il_ros.policies.normaliser import PIXELS, Affine, Normaliser
from il_ros.policies.runner import LoadedPolicy
from il_ros.policies.uncertainty import ChunkUse, UncertaintyModel, UncertaintyScale

SPEAKING = Subject("transformer", {"width": 4, "heads": 1, "blocks": 1})


def policy(own=made.CONTRACT, version="v1"):
    size = len(Inputs.of(own).groups)
    affine = Affine(np.zeros(size), np.ones(size))
    normaliser = Normaliser(affine, Affine(np.zeros(2), np.ones(2)), {"camera": PIXELS})
    chosen = family("bc").settings(hidden=(8,), channels=(4,))
    return LoadedPolicy(own, "bc", chosen, make_network("bc", chosen, own, normaliser), normaliser, version)


@pytest.fixture
def folder(tmp_path):
    checkpoint.save(tmp_path / "policy", policy())
    return tmp_path / "policy"


@pytest.mark.parametrize(
    "own", [made.CONTRACT, made.DELTA, made.WITH_CAMERA], ids=["absolute", "delta", "camera"]
)
def test_a_loaded_policy_acts_as_the_saved_one(tmp_path, own):
    saved = policy(own)
    checkpoint.save(tmp_path / "policy", saved)
    loaded = checkpoint.load(tmp_path / "policy", own)
    for seed in range(5):
        observation = made.observation(own, seed)
        np.testing.assert_array_equal(loaded.act(observation), saved.act(observation))
    assert (loaded.version, loaded.horizon, loaded.contract) == ("v1", 1, own)


def test_a_policy_without_a_version_gets_one_from_its_weights(tmp_path):
    torch.manual_seed(0)
    checkpoint.save(tmp_path / "a", policy(version=""))
    assert checkpoint.load(tmp_path / "a").version.startswith("bc-")


def test_a_version_of_two_words_is_not_saved(tmp_path):
    with pytest.raises(CheckpointError, match="version 'v1 generation=9' must be one word"):
        checkpoint.save(tmp_path / "policy", policy(version="v1 generation=9"))
    assert not (tmp_path / "policy").exists()


def test_a_folder_is_replaced_whole(folder):
    (folder / "uncertainty.safetensors").write_text("of before")
    checkpoint.save(folder, policy(version="v2"))
    assert checkpoint.load(folder).version == "v2"
    assert sorted(os.listdir(folder)) == ["card.md", "config.json", "contract.yaml", "model.safetensors"]
    assert os.listdir(folder.parent) == ["policy"]


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_a_folder_that_holds_anything_else_is_not_replaced(folder, kind):
    if kind == "file":
        (folder / "notes.txt").write_text("mine")
    elif kind == "folder":
        (folder / "v1").mkdir()
    else:
        (folder / "doubt.safetensors").symlink_to("/etc/hostname")
    before = sorted(os.listdir(folder))
    with pytest.raises(FileExistsError, match=r"policy: also holds '(notes.txt|v1|doubt.safetensors)'"):
        checkpoint.save(folder, policy(version="v2"))
    assert sorted(os.listdir(folder)) == before
    assert checkpoint.load(folder).version == "v1"


def test_a_link_to_a_folder_is_not_replaced(folder):
    (folder.parent / "link").symlink_to(folder)
    with pytest.raises(FileExistsError, match="link: is not a folder"):
        checkpoint.save(folder.parent / "link", policy(version="v2"))
    assert checkpoint.load(folder).version == "v1"


def test_a_failed_write_keeps_the_old_checkpoint(folder, monkeypatch):
    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(folder, policy(version="v2"))
    monkeypatch.undo()
    assert checkpoint.load(folder).version == "v1"
    assert os.listdir(folder.parent) == ["policy"]


def test_non_finite_weights_are_not_saved(tmp_path):
    broken = policy()
    with torch.no_grad():
        broken.network.head.linear.weight[0, 0] = float("nan")
    with pytest.raises(CheckpointError, match=r"weight 'head\.linear\.weight' contains NaN"):
        checkpoint.save(tmp_path / "policy", broken)
    assert not (tmp_path / "policy").exists()


def test_a_contract_with_a_different_text_is_not_saved(tmp_path):
    changed = dataclasses.replace(made.CONTRACT, rate_hz=10)
    with pytest.raises(
        CheckpointError, match="'made_up' cannot be stored: its text describes another contract"
    ):
        checkpoint.save(tmp_path / "policy", policy(changed))


def test_another_contract_is_refused_line_by_line(folder):
    with pytest.raises(CheckpointError, match=r"actions\.arm\.mode: delta here, absolute there"):
        checkpoint.load(folder, made.DELTA)


def test_a_folder_of_versions_loads_the_newest_good_one(tmp_path):
    for number in (1, 2):
        checkpoint.save(tmp_path / f"v{number}" / "checkpoint", policy(version=f"v{number}"))
    lineage.write(tmp_path / "v2", Lineage("v2", state=REFUSED))
    assert checkpoint.load(tmp_path).version == "v1"
    assert checkpoint.load(tmp_path / "v2").version == "v2"  # an explicit path loads it regardless
    lineage.write(tmp_path / "v1", Lineage("v1", state=ROLLED_BACK))
    with pytest.raises(CheckpointError, match="all its versions are refused, rolled back or damaged"):
        checkpoint.load(tmp_path)


@pytest.mark.parametrize("beside", ["checkpoint", "."])
def test_a_checkpoint_beside_the_versions_is_never_preferred(tmp_path, beside):
    checkpoint.save(tmp_path / "v1" / "checkpoint", policy(version="v1"))
    loose = tmp_path / "loose"
    checkpoint.save(loose, policy(version="half"))
    (tmp_path / beside).mkdir(exist_ok=True)
    for file in loose.iterdir():
        file.rename(tmp_path / beside / file.name)
    loose.rmdir()
    assert checkpoint.load(tmp_path).version == "v1"
    lineage.write(tmp_path / "v1", Lineage("v1", state=ROLLED_BACK))
    with pytest.raises(CheckpointError, match="to use the checkpoint beside them, move it out of here"):
        checkpoint.load(tmp_path)


def test_a_run_and_a_folder_of_versions_load_their_newest(tmp_path):
    for version in ("v2", "v10"):
        checkpoint.save(tmp_path / version / "checkpoint", policy(version=version))
    checkpoint.save(tmp_path / "v11.running" / "checkpoint", policy(version="v11"))
    assert checkpoint.load(tmp_path / "v2").version == "v2"
    assert checkpoint.load(tmp_path).version == "v10"


def rewrite_config(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


def put_nan(folder):
    tensors = dict(policy().network.state_dict())
    tensors["head.linear.bias"] = torch.tensor([0.0, float("inf")])
    put_model(folder, save_tensors(tensors))


def put_model(folder, model):
    import hashlib

    (folder / "model.safetensors").write_bytes(model)
    rewrite_config(folder, model_sha256=hashlib.sha256(model).hexdigest())


def edit_contract(folder):
    text = (folder / "contract.yaml").read_text()
    (folder / "contract.yaml").write_text(text.replace("rate_hz: 20", "rate_hz: 30"))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: shutil.rmtree(f), "no such folder"),
        (lambda f: [file.unlink() for file in f.iterdir()], "holds no checkpoint"),
        (lambda f: (f / "model.safetensors").unlink(), "model.safetensors: cannot be read: No such file"),
        (lambda f: (f / "config.json").unlink(), "config.json: cannot be read: No such file"),
        (lambda f: (f / "contract.yaml").unlink(), "contract.yaml: cannot be read: No such file"),
        (lambda f: (f / "model.safetensors").write_bytes(b"\x00" * 100), "model.safetensors: its checksum"),
        (lambda f: put_model(f, b"\xff" * 100), "model.safetensors: "),
        (
            lambda f: put_model(f, save_tensors({"other": torch.zeros(2)})),
            "weight 'trunk.0.weight' is missing",
        ),
        (put_nan, r"model.safetensors: weight 'head\.linear\.bias' contains NaN or infinity"),
        (edit_contract, "contract.yaml: was edited"),
        (lambda f: (f / "contract.yaml").write_text("name: x"), "contract.yaml"),
        (lambda f: (f / "config.json").write_text("{"), "config.json: not JSON"),
        (lambda f: (f / "config.json").write_text("[]"), "config.json: 'format' is missing"),
        (lambda f: rewrite_config(f, version="a b"), "config.json: version 'a b' must be one word"),
        (lambda f: rewrite_config(f, format=99), "config.json: format 99 is unknown"),
        (lambda f: rewrite_config(f, family="bd"), "config.json: policy family 'bd' is not known"),
        (lambda f: rewrite_config(f, settings={"hiden": [8]}), "config.json: settings: unknown key 'hiden'"),
        (lambda f: rewrite_config(f, normaliser={}), "config.json: 'state' is missing"),
        (
            lambda f: rewrite_config(f, settings={"hidden": [9], "channels": [4]}),
            r"F32 \[8, 11\]; F32 \[9, 11\] is",
        ),
        (
            lambda f: rewrite_config(
                f,
                normaliser={
                    "state": {"centre": [0.0], "scale": [1.0]},
                    "actions": {"centre": [0.0, 0.0], "scale": [1.0, 1.0]},
                    "images": {},
                },
            ),
            r"config.json: normaliser\.state has 1 value; required: 11",
        ),
    ],
)
def test_a_damaged_checkpoint_is_rejected_naming_the_file(folder, damage, message):
    damage(folder)
    with pytest.raises(CheckpointError, match=message):
        checkpoint.load(folder)


HUGE = 2**16


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        # 11 * 65536 + 65536 * 65536 numbers: 17 GB
        (
            {"hidden": [HUGE, HUGE], "channels": [4]},
            r"'trunk.0.weight' is F32 \[8, 11\]; F32 \[65536, 11\]",
        ),
        (
            {"hidden": [8], "channels": [4], "horizon": 4096},
            r"'head.linear.weight' is F32 \[2, 8\]; F32 \[8192, 8\]",
        ),
        ({"hidden": [8], "channels": [4], "horizon": 10**9}, "horizon is 1000000000; at most 4096 steps"),
        ({"hidden": [10**12, 10**12], "channels": [4]}, "config.json: "),
        ({"hidden": [10**30], "channels": [4]}, "config.json: "),
        ({"hidden": [1] * 65, "channels": [4]}, "config.json: settings: hidden has 65 layers; at most 64"),
        ({"hidden": [8, 8], "channels": [4]}, "'trunk.2.weight' is missing"),
    ],
)
def test_sizes_are_compared_with_the_weights_before_a_network_is_allocated(
    folder, monkeypatch, settings, message
):
    rewrite_config(folder, settings=settings)
    monkeypatch.setattr(checkpoint, "build_network", lambda *_: pytest.fail("a network was allocated"))
    with pytest.raises(CheckpointError, match=message):
        checkpoint.load(folder)


def with_header(folder, change):
    """Change the header of the weights, with a matching checksum."""
    raw = (folder / "model.safetensors").read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    change(header)
    new = json.dumps(header).encode()
    put_model(folder, len(new).to_bytes(8, "little") + new + raw[8 + length :])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: put_model(f, b""), "its header is cut off"),
        (
            lambda f: put_model(f, (1 << 60).to_bytes(8, "little") + b"{}"),
            "its header is cut off or too long",
        ),
        (lambda f: put_model(f, (2).to_bytes(8, "little") + b"[]"), "its header is not a JSON object"),
        (
            lambda f: put_model(f, (200_000).to_bytes(8, "little") + b"[" * 200_000),
            "its header is not JSON: nested",
        ),
        (lambda f: put_model(f, (f / "model.safetensors").read_bytes() + b"more"), "bytes of weights"),
        (
            lambda f: with_header(f, lambda h: h["trunk.0.bias"].update(dtype="F64")),
            r"is F64 \[8\]; F32 \[8\]",
        ),
        (lambda f: with_header(f, lambda h: h.update(other=h["trunk.0.bias"])), "'other' is not part of"),
        (lambda f: with_header(f, lambda h: h.update({"trunk.0.bias": 3})), "'trunk.0.bias' is None None"),
    ],
)
def test_a_header_that_does_not_fit_is_named(folder, damage, message):
    damage(folder)
    with pytest.raises(CheckpointError, match=message):
        checkpoint.load(folder)


def sparse(file, size):
    with file.open("wb") as opened:
        opened.truncate(size)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "contract.yaml"])
def test_large_files_and_fifos_are_not_read(folder, name):
    (folder / name).unlink()
    sparse(folder / name, 1 << 40)
    with pytest.raises(CheckpointError, match=f"{name}: cannot be read: has 1099511627776 bytes"):
        checkpoint.load(folder)
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(CheckpointError, match=f"{name}: cannot be read: is a FIFO, not a regular file"):
        checkpoint.load(folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"normaliser": {"state": {"centre": [10**400], "scale": [1]}, "actions": {}, "images": {}}},
        {
            "normaliser": {
                "state": {"centre": [], "scale": []},
                "actions": {"centre": [], "scale": []},
                "images": [],
            }
        },
        {"settings": {"horizon": "1"}},
        {"settings": {"variance_power": 10**400}},
    ],
)
def test_values_of_a_wrong_kind_are_checkpoint_errors(folder, changes):
    rewrite_config(folder, **changes)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        checkpoint.load(folder)


def test_the_scales_of_groups_and_uses_are_stored(tmp_path):
    scales = (
        UncertaintyScale(0.5, use=ChunkUse(2, 1)),
        UncertaintyScale(0.25, "left", ChunkUse(1, 0)),
    )
    model = UncertaintyModel("chunk", 0.5, scales=scales)
    checkpoint.save(tmp_path / "policy", dataclasses.replace(policy(), uncertainty_model=model))
    assert checkpoint.load(tmp_path / "policy", made.CONTRACT).uncertainty_model.scales == scales
    stated = {"kind": "chunk", "scale": 0.5}
    rewrite_config(tmp_path / "policy", uncertainty=stated)  # as before there were any
    assert checkpoint.load(tmp_path / "policy", made.CONTRACT).uncertainty_model.scales == ()
    for wrong in ([{"scale": 0.0, "group": "all", "ticks": 1, "committed": 0}], [{"scale": 1.0}], 3):
        rewrite_config(tmp_path / "policy", uncertainty={**stated, "scales": wrong})
        with pytest.raises(CheckpointError, match=r"config\.json: uncertainty: "):
            checkpoint.load(tmp_path / "policy", made.CONTRACT)


def test_demonstrated_states_are_stored_and_verified(tmp_path):
    plain = policy()
    size = len(plain.normaliser.state.centre)
    shown = np.arange(3 * size, dtype=np.float32).reshape(3, size)
    saved = dataclasses.replace(plain, uncertainty_model=UncertaintyModel("distance", 0.5, shown))
    checkpoint.save(tmp_path / "policy", saved)
    loaded = checkpoint.load(tmp_path / "policy", made.CONTRACT)
    observation = made.observation(made.CONTRACT, 1)
    assert loaded.act_with_uncertainty(observation)[1] == saved.act_with_uncertainty(observation)[1] > 0
    (tmp_path / "policy" / "uncertainty.safetensors").write_bytes(
        save_tensors({"shown": torch.zeros(3, size)})
    )
    with pytest.raises(CheckpointError, match=r"uncertainty\.safetensors: its checksum"):
        checkpoint.load(tmp_path / "policy", made.CONTRACT)


def test_an_invalid_uncertainty_kind_is_named(folder):
    config = json.loads((folder / "config.json").read_text())
    config["uncertainty"] = {"kind": "mood", "scale": 1.0}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        CheckpointError, match="uncertainty: uncertainty must be one of raw, own, distance, chunk"
    ):
        checkpoint.load(folder, made.CONTRACT)


@pytest.mark.parametrize(
    ("metrics", "said"),
    [
        (
            {"data": {"train": ["../../elsewhere"]}},
            r"metrics\.data\[train\]\[0\] is .*the name of an episode's folder",
        ),
        ({"data": {"train": [".."]}}, "the name of an episode's folder"),
        ({"data": ["episode_000001"]}, "metrics.data is .* an object"),
        ({"training": {"batch_size": "many"}}, "metrics.training.batch_size is 'many'"),
        ({"training": {}}, "metrics.training without 'batch_size'"),
        ({"steps": -1}, "metrics.steps is -1"),
        ({"tasks": "push"}, "metrics.tasks is 'push'; it must be a list"),
    ],
)
def test_metrics_that_others_use_are_checked(folder, metrics, said):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "metrics": metrics}))
    with pytest.raises(CheckpointError, match=said):
        checkpoint.load(folder)


def test_assets_are_data_that_a_checksum_guards(tmp_path):
    spoken = Prepared(SPEAKING, WITH_TEXT, with_words()).policy()
    checkpoint.save(tmp_path / "policy", spoken)
    file = tmp_path / "policy" / checkpoint.ASSETS
    assert checkpoint.load(tmp_path / "policy").vocabulary == spoken.vocabulary
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + b"]")
    with pytest.raises(CheckpointError, match=r"assets\.safetensors: its checksum differs"):
        checkpoint.load(tmp_path / "policy")
    file.unlink()
    with pytest.raises(CheckpointError, match=r"assets\.safetensors: cannot be read"):
        checkpoint.load(tmp_path / "policy")
    file.write_bytes(save_tensors({"vocabulary.json": torch.frombuffer(bytearray(b"{}"), dtype=torch.uint8)}))
    rewrite_config(tmp_path / "policy", assets_sha256=hashlib.sha256(file.read_bytes()).hexdigest())
    with pytest.raises(CheckpointError, match=r"config\.json: not a vocabulary: 'words'"):
        checkpoint.load(tmp_path / "policy")


def test_a_checkpoint_without_assets_has_no_such_file_and_replaces_one(tmp_path):
    checkpoint.save(tmp_path / "policy", Prepared(SPEAKING, WITH_TEXT, with_words()).policy())
    checkpoint.save(tmp_path / "policy", policy(version="v2"))
    assert not (tmp_path / "policy" / checkpoint.ASSETS).exists()
    assert checkpoint.load(tmp_path / "policy").version == "v2"


def test_a_buffer_may_be_infinite_but_not_nan(tmp_path):
    masked = policy()
    masked.network.register_buffer("mask", torch.tensor([float("-inf"), 0.0]))
    checkpoint.save(tmp_path / "policy", masked)
    masked.network.mask[1] = float("nan")
    with pytest.raises(CheckpointError, match="weight 'mask' contains NaN"):
        checkpoint.save(tmp_path / "policy", masked)


def test_a_family_that_is_not_installed_here_is_no_fault_of_the_checkpoint(folder):
    config = json.loads((folder / "config.json").read_text()) | {"family": "linear"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(NotHereError, match=r"config\.json: policy family 'linear' is not known; "):
        checkpoint.load(folder)


LOADING = """
import sys
from il_ros.policies import checkpoint
found = checkpoint.load(sys.argv[1])
assert found.family == sys.argv[2]
assert "torch._dynamo" not in sys.modules
"""


@pytest.mark.parametrize("name", ["transformer", "flow"])
def test_loading_does_not_import_torchs_compiler(tmp_path, name):
    """It takes seconds, and crashes in a process that has rendered with Mesa and has Triton."""
    subject = {"transformer": SPEAKING, "flow": Subject("flow", {"hidden": (4,)})}[name]
    ready = Prepared(subject) if name == "flow" else Prepared(subject, WITH_TEXT, with_words())
    checkpoint.save(tmp_path / "policy", ready.policy())
    done = subprocess.run(
        [sys.executable, "-c", LOADING, str(tmp_path / "policy"), name],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
