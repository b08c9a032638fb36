"""Export to ONNX: the graph answers as the policy does, from raw numbers, and what cannot be exported is refused."""

import json

import made_arrays as made
import numpy as np
import pytest

from il_ros.cli.main import main
from il_ros.policies.export import onnx_graph
from il_ros.policies.export.onnx_graph import ExportError, export
from il_ros.training import recipe as recipes
from il_ros.training.run import train

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
SMALL = {
    "bc_mlp": ("hidden=[8]", "history=2", "horizon=3"),
    "bc_gaussian": ("hidden=[8]",),
    "bc_categorical": ("hidden=[8]", "bins=8"),
    "ensemble": ("hidden=[8]", "members=3"),
    "moe": ("hidden=[8]", "experts=2", "answer=likeliest"),
    "two_step": ("hidden=[8]", "horizon=2"),
    "transformer": ("width=8", "heads=2", "blocks=1", "history=3"),
    "act": ("width=8", "heads=2", "blocks=1", "decoder_blocks=1", "horizon=3"),
    "bc_cnn": ("hidden=[8]", "channels=[4, 4]"),
}


def policy_of(name, tmp_path, own=made.CONTRACT, changes=()):
    recipe = recipes.load(name, (*SMALL.get(name, ()), *changes, "epochs=1", "still_every=1"))
    return train(made.dataset(2, 1, own=own), recipe, tmp_path / "v1", version="v1").policy


@pytest.mark.parametrize("name", SMALL)
def test_the_graph_answers_as_the_policy_server_does(name, tmp_path):
    own = made.WITH_CAMERA if name == "bc_cnn" else made.CONTRACT
    policy = policy_of(name, tmp_path, own)
    done = export(policy, tmp_path / "policy.onnx")
    session = onnxruntime.InferenceSession(str(done.file), providers=["CPUExecutionProvider"])
    assert done.inputs[0].shape[0] == (1 if name in ("moe", "two_step", "act") else "batch")
    for number in range(2):
        window = [made.observation(own, seed=number * 10 + tick) for tick in range(policy.history)]
        window[-1]["joints"] = np.array([9.0, -9.0])  # far beyond what was shown: clipped inside the graph
        wanted = policy.act_in_parts(window)
        feed = {"state": np.stack([policy.inputs.state_features(tick) for tick in window])[None]}
        feed |= {
            spec.key: np.stack([tick[spec.key] for tick in window])[None] for spec in policy.inputs.images
        }
        if policy.history > 1:
            feed["existing"] = np.ones((1, policy.history), bool)
        used = {each.name for each in session.get_inputs()}
        found = session.run(None, {key: value for key, value in feed.items() if key in used})
        np.testing.assert_allclose(found[0][0], wanted.commands, rtol=1e-4, atol=1e-5)
        assert len(found) == (1 if wanted.own is None else 2)
        if wanted.own is not None:
            assert found[1][0] == pytest.approx(wanted.own, rel=1e-3, abs=1e-5)


def test_card_and_metadata_name_each_number_with_its_unit(tmp_path):
    done = export(policy_of("bc_mlp", tmp_path), tmp_path / "policy.onnx")
    card = done.card.read_text()
    assert "| `state` | (batch, 2, 11) | float64 | state features, not normalised |" in card
    assert "| `actions` | (batch, 3, 2) | float64 | a chunk of actions |" in card
    assert "| 0 | joints/position/a | rad |" in card
    assert "| 1 | arm/b | rad |" in card
    model = onnx.load(str(done.file))
    kept = json.loads({each.key: each.value for each in model.metadata_props}["il_ros"])
    assert kept["contract_hash"] == made.CONTRACT.hash
    assert kept["ports"]["actions"]["units"] == ["rad", "rad"]
    delta = export(policy_of("bc_mlp", tmp_path / "delta", made.DELTA), tmp_path / "delta.onnx")
    assert "Differences to the measured value at the first tick: arm." in delta.card.read_text()


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("flow", ("hidden=[8]",), "draws its answer by chance"),
        ("moe", ("answer=draw",), "draws its answer by chance"),
        ("inverse", ("hidden=[8]",), "reads the observations that follow"),
        ("bc_mlp", ("optional=[object]",), r"may lack inputs \(object\)"),
    ],
)
def test_what_is_no_function_of_fixed_inputs_is_refused(name, changes, message, tmp_path):
    policy = policy_of(name, tmp_path, changes=changes)
    with pytest.raises(ExportError, match=message):
        export(policy, tmp_path / "policy.onnx")
    assert not (tmp_path / "policy.onnx").exists()


def test_a_graph_that_answers_otherwise_is_not_written(tmp_path, monkeypatch):
    policy = policy_of("bc_mlp", tmp_path)
    traced = onnx_graph._traced

    def changed(graph, *others):
        graph.action_centre += 0.01
        raw = traced(graph, *others)
        graph.action_centre -= 0.01
        return raw

    monkeypatch.setattr(onnx_graph, "_traced", changed)
    with pytest.raises(ExportError, match=r"ONNX answers otherwise than torch, by 0\.01"):
        export(policy, tmp_path / "policy.onnx")
    assert not list(tmp_path.glob("policy*"))


def test_the_command_writes_both_files_and_overwrites_none(tmp_path, capsys):
    policy_of("bc_mlp", tmp_path)
    words = ["policy", "export", "onnx", str(tmp_path / "v1"), "--out", str(tmp_path / "policy.onnx")]
    assert main(words) == 0
    assert "state (batch, 2, 11), existing (batch, 2) to actions (batch, 3, 2)" in capsys.readouterr().out
    assert main(words) == 2
    assert "policy.onnx exists; choose another --out" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0
    assert main([*words[:-1], str(tmp_path / "policy.pt")]) == 2
    assert "must end in .onnx" in capsys.readouterr().err
    config = tmp_path / "v1" / "checkpoint" / "config.json"  # as anyone may write it
    config.write_text(config.read_text().replace('"version": "v1"', f'"version": "{tmp_path}/elsewhere"'))
    assert main(words[:4]) == 2
    assert "elsewhere: its version is no name of a file; choose one with --out" in capsys.readouterr().err
    assert not list(tmp_path.glob("elsewhere*"))
    assert main([*words[:3], str(tmp_path / "nothing")]) == 2
    assert "nothing" in capsys.readouterr().err
