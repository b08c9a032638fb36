"""The whole loop on real Gazebo, in processes as `ros2 launch` would start them: show, record, train, run.

Lockstep throughout, so that what comes out depends on the seeds alone.
"""

import json
import sys

import pytest

from il_ros.control import trials
from il_ros.episodes import catalogue
from il_ros.graph import command
from il_ros.processes import ProcessGroup
from il_ros.scenarios import SCENARIOS
from il_ros.sim.gazebo.process import why_missing

SHOWN, HELD_OUT, HELD_OUT_SEED = 8, 5, 1000
PHASE_S = 150.0

pytestmark = pytest.mark.timeout(400)


def run(scenario, folder, **given):
    """Run unattended episodes of `push` on Gazebo; return what came of them."""
    result = folder / f"{scenario}.json"
    fixed = {"task": "push", "simulator": "gazebo_classic", "speed": "0", "cameras": "false"}
    files = {"result": str(result), "parameters": str(folder / "parameters.yaml")}
    specs = SCENARIOS[scenario].nodes({**fixed, **files, **given})
    with ProcessGroup({spec.name: command(spec) for spec in specs}, folder / scenario, print) as group:
        ending = group.wait(PHASE_S)
        if (ending.name, ending.status) != ("conductor", 0):
            raise group.failure(ending)
    return trials.from_json(result.read_text())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    if why_missing():
        pytest.skip(why_missing())
    folder = tmp_path_factory.mktemp("loop")
    patient = {"sim": {"ros__parameters": {"lockstep_timeout_s": 30.0}}}
    roomy = {"recorder": {"ros__parameters": {"min_free_bytes": 10_000_000}}}
    (folder / "parameters.yaml").write_text(json.dumps({"/**": patient | roomy}))
    return folder


@pytest.fixture(scope="module")
def shown(folder):
    """What came of the expert's episodes, recorded in folder/shown."""
    return run("record", folder, root=str(folder / "shown"), episodes=str(SHOWN))


@pytest.fixture(scope="module")
def checkpoint(folder, shown):
    """A policy trained from them."""
    words = [sys.executable, "-m", "il_ros", "train", str(folder / "shown"), "--out", str(folder / "trained")]
    with ProcessGroup({"train": [*words, "--set", "epochs=150"]}, folder / "train", print) as group:
        ending = group.wait(PHASE_S)
        if ending.status != 0:
            raise group.failure(ending)
    return folder / "trained" / "checkpoint"


def test_the_expert_shows_the_task_and_every_episode_is_recorded(folder, shown):
    assert shown.successes == SHOWN
    kept = catalogue.scan(folder / "shown").usable
    assert [entry.outcome for entry in kept] == ["success"] * SHOWN


def test_the_policy_learnt_from_gazebo_does_the_task_on_starts_that_nobody_showed(folder, checkpoint):
    given = {"checkpoint": str(checkpoint), "root": str(folder / "performed")}
    performed = run("deploy", folder, episodes=str(HELD_OUT), seed=str(HELD_OUT_SEED), **given)
    assert len(performed.done) == HELD_OUT
    assert performed.successes >= HELD_OUT // 2
