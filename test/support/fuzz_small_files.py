"""The readers of small files that persons and other programs write: results, descriptions, amendments, plans."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path

import made_episodes as made
import numpy as np
import torch
from fuzzing import (
    Reader,
    in_folder,
    mutated_bytes,
    mutated_file,
    mutated_json,
    mutated_xml,
    mutated_yaml,
    named,
)

from il_ros.cli.evaluation import compare
from il_ros.control.limiter import urdf
from il_ros.control.limiter.urdf import DescriptionError
from il_ros.control.playback import Playback, PlaybackError, TargetSeries
from il_ros.core.contract import ContractError
from il_ros.core.settings import SettingsError
from il_ros.episodes import amendments, catalogue, layout
from il_ros.episodes.amendments import Amendments, LeftOut
from il_ros.episodes.bag.recovery import integrity
from il_ros.episodes.exchange.journal import Journal
from il_ros.episodes.survey import draft
from il_ros.episodes.survey.survey import GraphEndpoint, GraphSurvey, SeenTopic
from il_ros.policies.checkpoint import CheckpointError
from il_ros.policies.normaliser import Affine, Normaliser
from il_ros.policies.remote import mapping
from il_ros.rewards import checkpoint as rewards
from il_ros.rewards.adversarial import GailSettings
from il_ros.rewards.registry import inputs_of, make_reward
from il_ros.rl import recipe as own_steps
from il_ros.scenarios import parameter_file
from il_ros.scenarios.parameter_file import ParameterFileError, Started
from il_ros.session.relabelling import starts
from il_ros.training.trainer import plans

ROOT = Path(__file__).resolve().parents[2]
GOLDEN, CONFIG = ROOT / "test" / "golden", ROOT / "config"
ROBOT = """<robot name="arm">
  <link name="base"/><link name="upper"/><link name="lower"/><link name="tool"/>
  <joint name="a" type="revolute"><parent link="base"/><child link="upper"/>
    <origin xyz="0 0 0.3" rpy="0 1.57 0"/><axis xyz="0 0 1"/><limit lower="-2" upper="2" velocity="1"/></joint>
  <joint name="b" type="prismatic"><parent link="upper"/><child link="lower"/><axis xyz="1 0 0"/>
    <limit lower="0" upper="0.4" velocity="0.05"/></joint>
  <joint name="f" type="continuous"><parent link="lower"/><child link="tool"/><mimic joint="a" multiplier="-2"/></joint>
</robot>"""
NODES = (
    Started("recorder", "/left/recorder"),
    Started("dagger_supervisor", "/left/dagger_supervisor"),
    Started("trainer", "/trainer"),
)
PARAMETERS = b"""left:
  recorder: {ros__parameters: {root: episodes, flush_s: 0.2}}
/**/dagger_supervisor:
  ros__parameters:
    sources: [policy, expert]
    policy: {timeout_s: 0.3}
/**: {ros__parameters: {use_sim_time: true}}
"""


def small_file_readers(folder: Path) -> Sequence[Reader]:
    """Return the readers; they work in `folder`."""
    place = folder / "small"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    token = place / "token"
    token.touch(mode=0o600)
    return [
        *_results(place),
        Reader("URDF", (ROBOT.encode(),), mutated_xml, _chain(place / "arm.urdf"), (DescriptionError,)),
        Reader(
            "robot_description", (ROBOT.encode(),), mutated_xml, _described, (DescriptionError, ContractError)
        ),
        _targets(place / "targets.json"),
        _starts(place / "starts.json"),
        *_beside_episodes(place / "root"),
        Reader("import journal", (b'{"0": 3, "1": 17}',), mutated_json, _journal(place), ()),
        Reader(
            "parameter file",
            (PARAMETERS, *(path.read_bytes() for path in sorted((CONFIG / "nodes").glob("*.yaml")))),
            mutated_yaml,
            _parameters(place / "parameters.yaml"),
            (ParameterFileError,),
        ),
        *_own_steps(place / "recipe.yaml"),
        Reader(
            "training plan", _plans(), mutated_json, lambda raw: plans.decode(_utf8(raw)), (plans.PlanError,)
        ),
        Reader(
            "token",
            (b"0123456789abcdef0123456789abcdef\n",),
            mutated_bytes,
            _written(token, mapping.read_token),
            (ValueError,),
        ),
        _reward(place / "reward"),
    ]


def _utf8(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _written(path: Path, read: Callable[[Path], object]) -> Callable[[bytes], object]:
    """Return a reader that reads its input from the file `path`."""

    def reading(raw: bytes) -> object:
        path.write_bytes(raw)
        return read(path)

    return reading


# ---- results and robots ----------------------------------------------------------------------------------


def _results(place: Path) -> Sequence[Reader]:
    trials = (GOLDEN / "trials.json").read_bytes()
    driven = [
        {"seed": seed, "judged": seed > 1, "success": seed == 2, "total_reward": 0.5 * seed}
        for seed in range(4)
    ]
    unattended = json.dumps({"version": "v2", "episodes": driven}).encode()
    other, alone = place / "first.json", place / "alone.json"
    other.write_bytes(trials)
    alone.write_bytes(unattended)
    table = b"v1,v2, v3\nsuccess,failure,1\n1.5,2,-1e3\n\n0,failure,success\n"
    return [
        Reader(
            "comparison table", (table,), mutated_bytes,
            _written(place / "table.csv", lambda path: compare.compared_in([path])), (ValueError,),
        ),
        Reader(
            "evaluation result", (trials,), mutated_json,
            _written(place / "second.json", lambda path: compare.compared_in([other, path])), (ValueError,),
        ),
        Reader(
            "unattended result", (unattended,), mutated_json,
            _written(place / "third.json", lambda path: compare.compared_in([alone, path])), (ValueError,),
        ),
    ]  # fmt: skip


def _chain(path: Path) -> Callable[[bytes], object]:
    def read(found: Path) -> object:
        chain = urdf.read_chain(found, "base", "tool")
        place = chain.tool(dict.fromkeys(chain.drivers, 0.5))
        assert all(map(np.isfinite, place))
        assert all(0.99 < np.linalg.norm(joint.axis) < 1.01 for joint in chain.joints)
        return place

    return _written(path, read)


def _described(raw: bytes) -> object:
    """Draft a contract of a graph with this description, a joint state and a command topic."""
    commands = SeenTopic(
        "/arm/commands", (made.ARRAY,), subscribers=(GraphEndpoint("/controller"),), joints=("a", "b")
    )
    info = layout.StreamInfo("/joint_states", made.JOINTS, rate_hz=50.0, messages=200, age_p99_s=0.01)
    states = SeenTopic(
        "/joint_states", (made.JOINTS,), (GraphEndpoint("/driver"),), (), info, (made.joints(1).raw,)
    )
    seen = GraphSurvey({each.name: each for each in (commands, states)}, 2.0, _utf8(raw))
    return draft.draft_contract(seen, "arm")


def _targets(path: Path) -> Reader:
    names = made.CONTRACT.action_names
    TargetSeries(names, np.array([0.0, 0.1]), np.array([[0.0, 0.5, 0.01], [0.1, 0.6, 0.02]])).save(path)

    def read(found: Path) -> object:
        player = Playback(made.CONTRACT, TargetSeries.load(found), 0.5)
        measured = np.zeros(3)
        for tick in range(3):
            measured = player.target(measured, 0.05 * tick)
            assert measured is None or np.isfinite(measured).all()
            measured = np.zeros(3) if measured is None else measured
        return player

    return Reader("targets", (path.read_bytes(),), mutated_json, _written(path, read), (PlaybackError,))


def _starts(path: Path) -> Reader:
    seed = json.dumps(
        [{"words": "a moment", "seed": 3, "state": [0.5, 1.0]}, {"words": "x", "seed": 4, "state": []}]
    ).encode()
    return Reader("starts", (seed,), mutated_json, _written(path, starts.read_starts), (ValueError,))


# ---- beside episodes -------------------------------------------------------------------------------------


def _beside_episodes(root: Path) -> Sequence[Reader]:
    """Amendments, a tombstone, and the kept result of an examination of an episode."""
    folder = made.write(root, made.recorded(8))
    amendments.write(
        folder,
        Amendments((LeftOut(0.1, 0.2, "a pause"),), {made.CONTRACT.action_names[0]: 0.5}, {"camera": -0.02}),
    )
    amended = (folder / amendments.AMENDMENTS).read_bytes()
    (folder / amendments.AMENDMENTS).unlink()
    tombstone = json.dumps({"at": "2026-11-29", "reason": "a collision"}).encode()
    kept = root / integrity.FOLDER / folder.name / f"{layout.bag_file(folder).name}.json"
    (root / integrity.FOLDER.parts[0]).mkdir(exist_ok=True)
    integrity.damage(layout.bag_file(folder))
    ticks = count(1)

    def amend(raw: bytes) -> object:
        (folder / amendments.AMENDMENTS).write_bytes(raw)
        try:
            found = amendments.read(folder)
            return found.offset_of(made.CONTRACT), found.shifts_ns(made.CONTRACT)
        finally:
            (folder / amendments.AMENDMENTS).unlink()

    def bury(raw: bytes) -> object:
        (folder / layout.TOMBSTONE).write_bytes(raw)
        try:
            return catalogue.look(folder), catalogue.scan(root)
        finally:
            (folder / layout.TOMBSTONE).unlink()

    def recall(raw: bytes) -> object:
        """Examine the bag anew, as its time is another one, with this kept result of it."""
        kept.parent.mkdir(parents=True, exist_ok=True)
        stamp_ns = 10**18 + next(ticks) * 10**9
        os.utime(layout.bag_file(folder), ns=(stamp_ns, stamp_ns))
        with contextlib.suppress(ValueError, KeyError, TypeError, IndexError, RecursionError):
            values = json.loads(raw)
            values["state"][1] = str(stamp_ns)
            raw = json.dumps(values).encode()
        kept.write_bytes(raw)
        return integrity.sentence(integrity.damage(layout.bag_file(folder)))

    return [
        Reader("amendments", (amended,), mutated_json, amend, (layout.LayoutError,)),
        Reader("tombstone", (tombstone,), mutated_json, bury, ()),
        Reader("kept examination", (kept.read_bytes(),), mutated_json, recall, ()),
    ]


def _journal(root: Path) -> Callable[[bytes], object]:
    path = root / ".imports" / f"{hashlib.sha256(b'source').hexdigest()[:16]}.json"
    path.parent.mkdir(exist_ok=True)

    def read(_: Path) -> object:
        journal = Journal(root, "source")
        return [journal.has(index) for index in (0, 1)]

    return _written(path, read)


# ---- settings --------------------------------------------------------------------------------------------


def _parameters(path: Path) -> Callable[[bytes], object]:
    def read(found: Path) -> object:
        entries = parameter_file.read(found)
        return [parameter_file.values_for(entries, node.full_name) for node in NODES], parameter_file.check(
            entries, NODES
        )

    return _written(path, read)


def _own_steps(path: Path) -> Sequence[Reader]:
    files = [file.read_bytes() for file in sorted((CONFIG / "training").glob("*.yaml"))]
    files = [raw for raw in files if b"\nimitation:" in raw]
    changes = ("steps=2000", "agent.rate=3e-4", "reward.hidden=16", "policy.hidden=[8]")
    gail = CONFIG / "training" / "gail.yaml"
    return [
        Reader(
            "recipe of own steps",
            tuple(files),
            mutated_yaml,
            _written(path, own_steps.load),
            (SettingsError,),
        ),
        Reader(
            "change of own steps",
            tuple(map(str.encode, changes)),
            mutated_yaml,
            lambda raw: own_steps.load(gail, [_utf8(raw)]),
            (SettingsError,),
        ),
    ]


def _plans() -> tuple[bytes, ...]:
    training = plans.TrainingPlan(Path("episodes"), Path("policy"), changes=("epochs=3",), tasks=("push",))
    evaluation = plans.EvaluationPlan(Path("policy/v1/checkpoint"), 10, "push", "mujoco")
    return tuple(
        plans.encode(plan).encode() for plan in (training, evaluation, replace(training, warm_epochs=4))
    )


# ---- rewards ---------------------------------------------------------------------------------------------


def _reward(folder: Path) -> Reader:
    settings = GailSettings(hidden=8, inputs=("joints",))
    size = len(inputs_of(made.CONTRACT, settings).groups)
    scales = Normaliser(Affine(np.zeros(size), np.ones(size)), Affine(np.zeros(3), np.ones(3)))
    with torch.random.fork_rng(devices=[]):
        network = make_reward("gail", settings, made.CONTRACT, scales, 1)
    rewards.save(
        folder, rewards.LoadedReward(made.CONTRACT, "gail", settings, network, scales, "v1", {"a": 1})
    )
    rewards.load(folder)  # what is imported at its first use is not in a timed run
    seeds = tuple(named(file.name, file.read_bytes()) for file in sorted(folder.iterdir()))

    def load(found: Path) -> object:
        """Load a model whose checksums fit, as those of a forged one do."""
        config = found / rewards.CONFIG
        before = config.read_bytes()
        with contextlib.suppress(ValueError, RecursionError):
            values = json.loads(before)
            if isinstance(values, dict):
                values["model_sha256"] = hashlib.sha256((found / rewards.MODEL).read_bytes()).hexdigest()
                config.write_text(json.dumps(values))
        try:
            return rewards.load(found)
        finally:
            config.write_bytes(before)

    return Reader("reward model", seeds, mutated_file, in_folder(folder, load), (CheckpointError,))
