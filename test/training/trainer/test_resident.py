"""The resident training process: consecutive jobs, interruption, and death."""

import time

import made_episodes as made
import psutil
import pytest

from il_ros.policies import checkpoint, lineage
from il_ros.policies.versions import versions
from il_ros.training.trainer.job import TrainingPlan
from il_ros.training.trainer.resident import Resident

LONG_S = 120.0  # a process that imports torch, on a busy machine
QUICK = ("inputs=[joints]", "hidden=[8]", "epochs=2")


@pytest.fixture
def resident():
    made_one = Resident(background=False)
    yield made_one
    made_one.close()


@pytest.fixture
def plan(tmp_path):
    for number in range(2):
        made.write(tmp_path / "episodes", made.recorded(20), number=number)
    return TrainingPlan(tmp_path / "episodes", tmp_path / "policies", changes=QUICK, background=False)


def finish(job, until=lambda events: False):
    events, status, end_s = [], None, time.monotonic() + LONG_S
    while status is None and not until(events):
        assert time.monotonic() < end_s, events
        more, status = job.poll()
        events += more
        time.sleep(0.01)
    return events, status


def until_it_is(process, wanted):
    end_s = time.monotonic() + 10.0
    while not wanted(status := psutil.Process(process.pid).status()):
        assert time.monotonic() < end_s, status
        time.sleep(0.001)


def trained(resident, plan):
    version = plan.next_version()
    _, status = finish(resident.begin(plan.words(version)))
    assert status == 0
    return plan.publish(version)


def test_one_process_runs_consecutive_warm_started_trainings(resident, plan, tmp_path):
    first = trained(resident, plan)
    process = resident.process
    warm = TrainingPlan(**{**vars(plan), "start": first, "warm_epochs": 1})
    second = trained(resident, warm)
    assert resident.process is process
    known = lineage.read(second)
    assert (known.parent, known.metrics["epochs"], known.labels) == ("v1", 1, 40)
    assert known.data == lineage.read(first).data
    assert checkpoint.load(second).normaliser.to_plain() == checkpoint.load(first).normaliser.to_plain()


def test_an_invalid_command_reports_its_error_and_the_next_one_runs(resident, plan):
    bad = resident.begin(["train", str(plan.root), "--out", "x", "--set", "epcohs=1"])
    _, status = finish(bad)
    assert status == 2
    assert "did you mean 'epochs'" in bad.last_line
    trained(resident, plan)


def test_an_interrupted_training_ends_and_the_process_stays(resident, plan):
    endless = TrainingPlan(**{**vars(plan), "changes": (*QUICK[:2], "epochs=1000000")})
    job = resident.begin(endless.words("v1"))
    finish(job, lambda events: any(event["event"] == "epoch" for event in events))
    process = resident.process
    job.interrupt()
    assert finish(job)[1] == 130
    trained(resident, plan)
    assert resident.process is process


def test_a_process_paused_at_the_end_of_its_command_is_resumed(resident):
    job = resident.begin(["train", "nothing there", "--out", "x"])
    assert finish(job)[1] == 2
    job.pause(True)  # the caller has not polled the end yet
    until_it_is(resident.process, lambda status: status == psutil.STATUS_STOPPED)
    job.close()
    until_it_is(resident.process, lambda status: status != psutil.STATUS_STOPPED)


def test_a_killed_process_leaves_no_version_and_the_next_job_has_a_new_one(resident, plan):
    endless = TrainingPlan(**{**vars(plan), "changes": (*QUICK[:2], "epochs=1000000")})
    job = resident.begin(endless.words("v1"))
    finish(job, lambda events: any(event["event"] == "epoch" for event in events))
    resident.process.kill()
    assert finish(job)[1] == -9
    assert versions(plan.versions) == []
    run = trained(resident, plan)
    assert [run] == versions(plan.versions)
    assert run.name == "v1"


def test_incompatible_weights_are_not_used_and_a_warning_says_so(resident, plan):
    first = trained(resident, plan)
    wider = TrainingPlan(**{**vars(plan), "start": first, "changes": (QUICK[0], "hidden=[9]", "epochs=2")})
    version = wider.next_version()
    events, status = finish(resident.begin(wider.words(version)))
    (begun,) = (event for event in events if event["event"] == "start")
    assert status == 0
    assert (begun["parent"], begun["epochs"]) == ("", 2)
    assert "trained from scratch, the weights of v1 do not fit: policy.hidden is [8]" in begun["warnings"][0]
