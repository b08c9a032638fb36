"""The resident training process: consecutive jobs, interruption, and death."""

import time
from dataclasses import replace

import made_episodes as made
import psutil
import pytest

from il_ros.core.processes import executables
from il_ros.policies import checkpoint, lineage
from il_ros.policies.versions import begin_next, publish, versions
from il_ros.training.trainer import job
from il_ros.training.trainer.plans import TrainingPlan
from il_ros.training.trainer.resident import Resident

LONG_S = 120.0  # a process that imports torch, on a busy machine
QUICK = ("inputs=[joints]", "hidden=[8]", "epochs=2")


class Watched(Resident):
    """A resident process whose last job is known."""

    job = None

    def begin(self, plan):
        self.job = super().begin(plan)
        return self.job


@pytest.fixture(scope="module")
def one_process():
    """One process for all tests, because it imports torch for seconds; a test may kill it."""
    made_one = Watched(background=False)
    yield made_one
    made_one.close()


@pytest.fixture
def resident(one_process):
    yield one_process
    if one_process.job is not None:
        one_process.job.close()  # ends the process if the test left the job running


@pytest.fixture
def plan(tmp_path):
    """A training of seconds; `out` is given by `trained`."""
    for number in range(2):
        made.write(tmp_path / "episodes", made.recorded(20), number=number)
    return TrainingPlan(tmp_path / "episodes", tmp_path / "policies" / "v1", changes=QUICK)


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
    """Train the next version in the folder of the plan's one, and return its folder."""
    version, run = begin_next(plan.out.parent)
    _, status = finish(resident.begin(replace(plan, version=version, out=run)))
    assert status == 0
    return publish(run, version)


def endless(plan):
    _, run = begin_next(plan.out.parent)
    return replace(plan, out=run, changes=(*QUICK[:2], "epochs=1000000"))


def test_one_process_runs_consecutive_warm_started_trainings(resident, plan):
    first = trained(resident, plan)
    process = resident.process
    second = trained(resident, replace(plan, start=first, warm_epochs=1))
    assert resident.process is process
    known = lineage.read(second)
    assert (known.version, known.parent, known.metrics["epochs"], known.labels) == ("v2", "v1", 1, 40)
    assert known.data == lineage.read(first).data
    assert checkpoint.load(second).normaliser.to_plain() == checkpoint.load(first).normaliser.to_plain()


def test_an_invalid_plan_reports_its_error_and_the_next_one_runs(resident, plan):
    bad = resident.begin(replace(plan, changes=("epcohs=1",)))
    _, status = finish(bad)
    assert status == 2
    assert "did you mean 'epochs'" in bad.last_line
    trained(resident, plan)


def test_an_interrupted_training_ends_and_the_process_stays(resident, plan):
    job = resident.begin(endless(plan))
    finish(job, lambda events: any(event["event"] == "epoch" for event in events))
    process = resident.process
    job.interrupt()
    assert finish(job)[1] == 130
    trained(resident, plan)
    assert resident.process is process


def test_a_process_paused_at_the_end_of_its_job_is_resumed(resident, tmp_path):
    job = resident.begin(TrainingPlan(tmp_path / "nothing there", tmp_path / "x"))
    assert finish(job)[1] == 2
    job.pause(True)  # the caller has not polled the end yet
    until_it_is(resident.process, lambda status: status == psutil.STATUS_STOPPED)
    job.close()
    until_it_is(resident.process, lambda status: status != psutil.STATUS_STOPPED)


def test_a_killed_process_leaves_no_version_and_the_next_job_has_a_new_one(resident, plan):
    job = resident.begin(endless(plan))
    finish(job, lambda events: any(event["event"] == "epoch" for event in events))
    resident.process.kill()
    assert finish(job)[1] == -9
    assert versions(plan.out.parent) == []
    run = trained(resident, plan)
    assert [run] == versions(plan.out.parent)
    assert run.name == "v1"


def test_incompatible_weights_are_not_used_and_a_warning_says_so(resident, plan):
    first = trained(resident, plan)
    wider = replace(
        plan, out=plan.out.with_name("v2"), start=first, changes=(QUICK[0], "hidden=[9]", "epochs=2")
    )
    events, status = finish(resident.begin(wider))
    (begun,) = (event for event in events if event["event"] == "start")
    assert status == 0
    assert (begun["parent"], begun["epochs"]) == ("", 2)
    said = "trained from scratch, the weights of v1 do not fit: policy.hidden is [8]"
    assert any(said in warning for warning in begun["warnings"])


def test_the_trainers_node_is_not_killed_while_it_ends_its_training():
    """The training has idle priority, so that its end takes seconds on a busy machine; then it is killed."""
    assert "trainer" in executables.SLOW_TO_STOP
    assert executables.SLOW_STOP_S > job.KILL_AFTER_S
