"""Recordings, policies and settings of earlier versions stay readable; README.md says what lies here.

`account` is what the package's readers say of it all, and must be what expected.json says.
"""

import json
import math
import shutil
from collections import Counter
from functools import reduce
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
import yaml
from ros_graph import Graph

from il_ros.cli.main import main
from il_ros.core import contract as contracts
from il_ros.core import messages
from il_ros.core.settings import SettingsError, plain
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.episodes.bag.reader import open_bag
from il_ros.episodes.bag.recover import recover
from il_ros.episodes.catalogue import Selection, scan
from il_ros.episodes.verify import verify
from il_ros.interactive.promotion.rollback import DrivingLog
from il_ros.nodes.conductor.node import Conductor
from il_ros.nodes.policy_server.node import PolicyServer
from il_ros.nodes.recorder.node import Recorder
from il_ros.nodes.runtime.parameters import ParameterError
from il_ros.nodes.session.node import Session
from il_ros.nodes.sim.expert_node import ScriptedExpert
from il_ros.nodes.sim.gz_node import SimGz
from il_ros.nodes.sim.node import Sim
from il_ros.nodes.supervisor.node import DaggerSupervisor
from il_ros.nodes.teleop.joy_node import TeleopJoy
from il_ros.nodes.teleop.keyboard_node import TeleopKeyboard
from il_ros.nodes.teleop.leader_node import TeleopLeader
from il_ros.nodes.trainer.node import Trainer
from il_ros.policies import checkpoint, lineage
from il_ros.policies.versions import versions
from il_ros.records import proposal
from il_ros.records.decision import from_json
from il_ros.records.trials import from_json as trials_from_json
from il_ros.session import report
from il_ros.session.relabelling.moments import NoStateError, moments, to_label
from il_ros.session.state import SessionState
from il_ros.session.updates import after_decision
from il_ros.training import recipe as recipes
from il_ros.training import saved
from il_ros.training.run import train
from il_ros.training.trainer.watcher import EpisodeWatcher

GOLDEN = Path(__file__).resolve().parent
EXPECTED = json.loads((GOLDEN / "expected.json").read_text(encoding="utf-8"))
PROPOSALS = ("/policy_server/proposal", "/expert/proposal")
NODES = {
    "conductor": Conductor,
    "dagger_supervisor": DaggerSupervisor,
    "policy_server": PolicyServer,
    "recorder": Recorder,
    "scripted_expert": ScriptedExpert,
    "session": lambda **kwargs: Session(None, **kwargs),
    "sim": Sim,
    "sim_gz": SimGz,
    "teleop_joy": TeleopJoy,
    "teleop_keyboard": lambda **kwargs: TeleopKeyboard(None, **kwargs),
    "teleop_leader": TeleopLeader,
    "trainer": Trainer,
}
GIVEN = {
    "dagger_supervisor": {"contract": "arm_push"},  # the file leaves it to whoever starts the node
    "policy_server": {"candidates": "trainer/checkpoint"},  # a server without policy needs one
    "teleop_keyboard": {"keys_topic": "keys"},  # there is no terminal
}
RENAMED = {
    "dagger_supervisor": {"dagger.asked": "dagger.queried"},
    "policy_server": {
        f"gate.{name}": f"promotion.{name}"
        for name in ("root", "tolerance", "slack", "latency", "disagreement", "shadow_ticks", "shadow_s")
    },
}
"""Parameters that have another name now: the former one is refused."""
LATER = {"policy_server": {"supervisor_status"}}
"""Declared when the node has a policy."""


# ---- what the readers say --------------------------------------------------------------------------------


def account(golden, part, name):
    """Return what the readers say; `golden` is a copy, for some of them write beside what they read."""
    return json.loads(json.dumps(READERS[part](golden, name)))


def episode(entry):
    """One episode: its state and description, its messages, its decisions, and its check from end to end."""
    info, found = entry.info, {"state": entry.state}
    found["described"] = {
        "outcome": info.outcome,
        "task": info.task,
        "operator": info.operator,
        "seed": info.seed,
        "contract": [info.contract_name, info.contract_hash],
        "duration_s": info.duration_s,
        "stopped because": info.stop_reason,
        "faults": list(info.faults),
        "made from": info.made_from,
        "complete": info.complete,
        "grade": None if info.grade is None else [info.grade.level, list(info.grade.reasons)],
        "streams": [[each.topic, each.messages, each.lost, each.required] for each in info.streams],
    }
    if entry.state == "incomplete":
        return found
    bag, own = open_bag(entry.folder), contracts.parse(info.contract_text, entry.name)
    found["topics"] = {name: [topic.type, topic.messages] for name, topic in sorted(bag.topics.items())}
    found["contract in the bag"] = bag.metadata["il_ros.contract"]["hash"]
    found["decisions"] = decided([from_json(text_of(item)) for item in bag.messages([info.decision_topic])])
    found["proposals"] = proposed(bag, own)
    found["marks"] = [json.loads(text_of(item)) for item in bag.messages(["/session/marks"])]
    checked = verify(entry.folder)
    found["checked"] = [checked.messages, checked.ticks, checked.frames, list(checked.errors)]
    try:
        found["moments"] = [
            [each.words, each.state.size, each.state[:8].tolist()]
            for each in moments(entry.folder, uncertain=1)
        ]
    except NoStateError:
        found["moments"] = None
    return found


def decided(decisions):
    """What each tick's decision says, of like ones in a row the first and their count."""
    log = DrivingLog()
    for each in decisions:
        log.observe(each)
    watched = reduce(
        lambda world, each: after_decision(world, each)[0], decisions, SessionState(recording="it")
    )
    return {
        "ticks": len(decisions),
        "who": runs(
            [each.mode, each.authority, each.version, each.generation, each.queried, each.beta]
            for each in decisions
        ),
        "why": runs(each.reason for each in decisions),
        "limited": dict(Counter(name for each in decisions for name in each.limited)),
        "rejected": runs(dict(each.rejected) for each in decisions),
        "proposed": runs([name for name, values in each.proposals.items() if values] for each in decisions),
        "first": [decisions[0].stamp_ns, decisions[0].sent_ns, decisions[0].sent],
        "last": [decisions[-1].stamp_ns, decisions[-1].sent_ns, decisions[-1].sent],
        "doubts": [decisions[0].uncertainty, decisions[-1].uncertainty],
        "disagreements": [decisions[0].disagreement, decisions[-1].disagreement],
        "driving, for the roll-back": {
            name: [each.seconds, each.interventions] for name, each in log.by_version.items()
        },
        "interventions, on the console": watched.interventions,
    }


def proposed(bag, own):
    """What the sources said, each in its topic: how often, and their first words."""
    found = {}
    for topic in PROPOSALS:
        raws = [item.raw for item in bag.messages([topic])]
        if raws:
            first = proposal.decode(raws[0], own.action_names, own.period_ns)
            words = [first.source, first.version, first.generation, first.uncertainty]
            found[topic] = [len(raws), words, first.chunk.tolist()]
    return found


def of_a_root(root):
    """All episodes of a folder: as training, the trainer's trigger, the session and relabelling see them."""
    entries = scan(root).usable
    own = contracts.parse(entries[0].info.contract_text, str(root))
    read = Dataset.open(root, own, Selection(poor=True), validation=0)
    news, facts = EpisodeWatcher(root, poor=True).look(), report.read(root)
    left = to_label(entries)
    return {
        "arrays": {each.name: arrays(each) for each in read.train},
        "left out of training": [name for name, _ in read.summary.left_out],
        "the trainer's trigger": {
            name: [each.labelled, each.interventions, each.version] for name, each in news.finished
        },
        "discarded": list(news.discarded),
        "the session's facts": {
            each.name: {
                "outcome": each.outcome,
                "discarded": each.discarded,
                "drivers": runs(each.drivers),
                "versions": runs(each.versions),
                "labels": each.labels,
                "takeovers": list(each.takeovers),
                "duration_s": each.duration_s,
            }
            for each in facts.episodes
        },
        "by version": [
            [each.version, each.episodes, each.successes, each.alone, each.interventions, each.labels]
            for each in facts.versions
        ],
        "left out of the report": [name for name, _ in facts.left_out],
        "to label": [[each.words for each in left.moments], left.labelled],
    }


def arrays(episode):
    """What is learnt of an episode; of the labels and of what was seen the first and the last."""
    return {
        "labels": len(episode.commands),
        "first label": episode.commands[0].tolist(),
        "last label": episode.commands[-1].tolist(),
        "offset": episode.offsets[0].tolist(),
        "seen first": {key: summed(values[0]) for key, values in episode.observations.items()},
        "seen last": {key: summed(values[-1]) for key, values in episode.observations.items()},
        "ticks_ns": [int(episode.ticks_ns[0]), int(episode.ticks_ns[-1])],
        "outcome": episode.outcome,
        "task": episode.task,
        "drivers": runs(episode.authority),
        "ticks without a label": sum(episode.skipped.values()),
        "takeovers_ns": list(episode.takeovers_ns),
    }


def policy(folder):
    """A checkpoint, and its answer to an observation that is always the same."""
    found = checkpoint.load(folder)
    chunk, uncertainty = found.act_with_uncertainty(seen(found.contract))
    return {
        "family": found.family,
        "version": found.version,
        "contract": [found.contract.name, found.contract.hash],
        "settings": plain(found.settings),
        "doubts by": [found.uncertainty_model.kind, found.uncertainty_model.scale],
        "learnt from": found.metrics["data"],
        "parent": found.metrics["parent"],
        "tasks": found.metrics["tasks"],
        "answer": chunk.tolist(),
        "doubt": uncertainty,
        "lineage": version(folder),
    }


def version(run):
    """What is known of a version besides its weights."""
    found = lineage.read(run)
    return {
        "version": found.version,
        "parent": found.parent,
        "state": found.state,
        "reason": found.reason,
        "data": found.data,
        "labels": found.labels,
        "recipe": found.recipe,
        "metrics": found.metrics,
        "contract": found.contract_hash,
        "trained at": found.trained_at,
        "checks": found.checks,
        "driven_s": found.driven_s,
        "interventions": found.interventions,
    }


def contract(found):
    """The meaning of a contract."""
    return {
        "name": found.name,
        "hash": found.hash,
        "rate_hz": found.rate_hz,
        "trigger": found.trigger,
        "topics": found.topics,
        "observations": [
            [each.key, each.kind, list(each.shape), each.max_age_s] for each in found.observations
        ],
        "actions": list(found.action_names),
        "limits": [[list(each.limits.lower), list(each.limits.upper)] for each in found.actions],
    }


def recipe(golden, name):
    """A recipe: its former key is refused, with the name it has now; with that name it means the same."""
    file = golden / f"config/training/{name}.yaml"
    with pytest.raises(SettingsError, match="doubt: this key is called 'uncertainty' now"):
        recipes.load(file)
    file.write_text(file.read_text(encoding="utf-8").replace("  doubt:", "  uncertainty:"), encoding="utf-8")
    found = recipes.load(file).to_plain()
    found["training"]["doubt"] = found["training"].pop("uncertainty")
    return found


def seen(own):
    """An observation of a contract without meaning, but with other numbers everywhere."""
    return {
        spec.key: (np.arange(np.prod(spec.shape)) % 251 / (1 if spec.image else 500))
        .reshape(spec.shape)
        .astype(spec.dtype)
        for spec in own.observations
    }


def summed(values):
    return values.tolist() if values.size < 20 else float(values.astype(np.float64).sum())


def text_of(item):
    return messages.decode(item.type, item.raw).data


def runs(values):
    return [[value, len(list(same))] for value, same in groupby(values)]


READERS = {
    "episodes": lambda golden, root: {
        entry.name: episode(entry) for entry in scan(golden / "episodes" / root).entries
    },
    "roots": lambda golden, root: of_a_root(golden / "episodes" / root),
    "policies": lambda golden, name: policy(golden / "policies" / name),
    "versions": lambda golden, name: version(golden / "checkpoint" / name),
    "contracts": lambda golden, name: contract(contracts.load(golden / f"config/contracts/{name}.yaml")),
    "recipes": recipe,
}


# ---- comparing -------------------------------------------------------------------------------------------


def require(found, expected, where=""):
    """Compare what is there now with what was expected.

    A policy's numbers may differ in the sixth digit, and settings may have become more.
    """
    if isinstance(expected, dict):
        more = "/settings" in where or "recipe" in where
        assert found.keys() >= expected.keys() if more else found.keys() == expected.keys(), where
        for key, value in expected.items():
            require(found[key], value, f"{where}/{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), f"{where}: {found}, expected {expected}"
        for place, value in enumerate(expected):
            require(found[place], value, f"{where}/{place}")
    elif isinstance(expected, float):
        assert math.isclose(found, expected, rel_tol=1e-5, abs_tol=2e-6), f"{where}: {found}, not {expected}"
    else:
        assert found == expected, where


@pytest.fixture(scope="module")
def golden(tmp_path_factory):
    """A copy, for readers may make caches beside what they read, or repair it."""
    return shutil.copytree(GOLDEN, tmp_path_factory.mktemp("golden") / "golden")


@pytest.mark.parametrize(("part", "name"), [(part, name) for part in EXPECTED for name in EXPECTED[part]])
def test_the_readers_say_what_they_said(golden, part, name):
    require(account(golden, part, name), EXPECTED[part][name], f"{part}/{name}")


def test_all_that_lies_here_is_read():
    for part, folder in (("episodes", "episodes"), ("policies", "policies"), ("versions", "checkpoint")):
        assert sorted(EXPECTED[part]) == sorted(each.name for each in (GOLDEN / folder).iterdir())


def test_the_outcomes_of_unattended_episodes_are_read():
    text = (GOLDEN / "trials.json").read_text(encoding="utf-8")
    found, plain = trials_from_json(text), json.loads(text)
    assert (found.planned, found.first_seed, found.successes) == (3, 0, plain["successes"])
    assert [
        [each.seed, each.outcome, each.reason, each.simulated_s, each.episode] for each in found.done
    ] == [
        [each["seed"], each["outcome"], each["reason"], each["simulated_s"], each["episode"]]
        for each in plain["trials"]
    ]


# ---- going on with it ------------------------------------------------------------------------------------


def test_a_bag_of_a_killed_recorder_can_be_recovered(golden, tmp_path):
    folder = shutil.copytree(golden / "episodes" / "killed", tmp_path / "killed") / "episode_000001"
    done = recover(folder)
    assert (done.messages, done.changed) == (176, True)
    (entry,) = scan(folder.parent).usable
    assert len(entry.info.faults) == 1
    assert verify(folder).ok
    assert moments(folder, uncertain=1)
    (counted,) = EpisodeWatcher(folder.parent).look().finished
    assert counted[1].interventions == 1


def test_the_newest_good_version_is_found(golden, tmp_path):
    folder = shutil.copytree(golden / "checkpoint", tmp_path / "checkpoint")
    assert [run.name for run in versions(folder)] == ["v1", "v2", "v3", "v4", "v5"]
    assert lineage.newest_good(folder).name == "v5"
    assert checkpoint.load(folder).version == "v5"
    shutil.rmtree(folder / "v5")
    assert lineage.newest_good(folder).name == "v2"  # v3 was refused, v4 rolled back


def test_an_interrupted_training_goes_on(golden, tmp_path):
    run = shutil.copytree(golden / "policies" / "halted", tmp_path / "halted")
    before = json.loads((run / "resume" / "state.json").read_text())
    root = golden / "episodes" / "modes"
    words = before["run"]["recipe"]
    words["training"]["uncertainty"] = words["training"].pop("doubt")
    recipe = recipes.Recipe.from_plain(words, "state.json")
    own = contracts.load(run / "checkpoint" / "contract.yaml")
    data = saved.data(run)
    names = Selection(names=(*data["train"], *data["validation"]))
    dataset = Dataset.open(root, own, names, held_out=data["validation"])
    done = train(dataset, recipe, run, version="halted", resume=True)
    assert done.finished
    assert [point.epoch for point in done.curves] == [1, 2, 3, 4, 5, 6]
    assert done.curves[2].train_loss == pytest.approx(before["curves"][2]["train_loss"])


def test_a_policy_can_be_learnt_further(golden, tmp_path):
    words = [str(golden / "episodes" / "modes"), "--from", str(golden / "checkpoint" / "v2")]
    words += ["--recipe", "bc_gaussian", "--set", "policy.hidden=[8]", "--warm-epochs", "1"]
    assert main(["train", *words, "--out", str(tmp_path / "v6"), "--progress", "json"]) == 0
    assert lineage.read(tmp_path / "v6").parent == "v2"


def test_marked_moments_can_be_relabelled(golden, tmp_path, capsys):
    root = shutil.copytree(golden / "episodes" / "session", tmp_path / "session")
    assert main(["episodes", "relabel", "--root", str(root), "--seconds", "0.2"]) == 0
    made = [entry.info.made_from for entry in scan(root).usable if entry.info.made_from]
    assert sorted(made) == ["episode_000001 at 0.00 s: marked", "episode_000002 at 0.00 s: marked"]


# ---- parameters ------------------------------------------------------------------------------------------


@pytest.fixture
def graph():
    graph = Graph()
    yield graph
    graph.close()


@pytest.mark.parametrize("name", sorted(file.stem for file in (GOLDEN / "config" / "nodes").glob("*.yaml")))
def test_a_node_takes_every_parameter_of_its_file(graph, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    text = (GOLDEN / "config" / "nodes" / f"{name}.yaml").read_text(encoding="utf-8")
    written = flat(yaml.safe_load(text)["/**"]["ros__parameters"]) | GIVEN.get(name, {})
    for former, now in RENAMED.get(name, {}).items():
        with pytest.raises(ParameterError, match=f"parameter {former} is called {now} now"):
            graph.start(NODES[name], **{former: written[former]})
        written[now] = written.pop(former)
    node = graph.start(NODES[name], **written)
    taken = {key: node.get_parameter(key).value for key in written.keys() - LATER.get(name, set())}
    taken["seed"] = written.get("seed")  # the simulator counts on from it
    assert taken == {key: written.get(key) for key in taken}


def flat(values, before=""):
    """Return nested parameters by their dotted names."""
    found = {}
    for name, item in values.items():
        found |= flat(item, f"{before}{name}.") if isinstance(item, dict) else {before + name: item}
    return found
