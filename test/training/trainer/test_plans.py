"""A plan as a JSON document, from the caller to the process that carries it out."""

import argparse
import json
import sys
import time
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from il_ros.cli.evaluation import command as evaluate
from il_ros.cli.train import command as train
from il_ros.cli.train import racing
from il_ros.training.trainer import job as jobs
from il_ros.training.trainer import plans
from il_ros.training.trainer.job import WORKER, Job
from il_ros.training.trainer.plans import EvaluationPlan, PlanError, TrainingPlan

TRAINING = TrainingPlan(
    data=Path("episodes"),
    out=Path("policies/v3.running"),
    version="v3",
    contract="arm_push",
    recipe="my recipe.yaml",
    race=7.5,
    changes=("epochs=3", 'policy.inputs=["joints"]'),
    outcomes=("success", "failure"),
    poor=True,
    joint=True,
    further=(Path("more"), Path("even more")),
    weights=("arm_push=2",),
    recorded=True,
    tasks=("push", "a second one"),
    resume=True,
    overwrite=True,
    start=Path("policies/v2"),
    warm_epochs=7,
    warm_s=2.5,
    background=True,
    log=("tensorboard",),
)
EVALUATION = EvaluationPlan(Path("policies/v3"), 5, "push", "gazebo_classic", 9, 0.5, 2, True, 3.0, 8)
LONG_S = 60.0


@pytest.mark.parametrize("plan", [TRAINING, EVALUATION])
def test_no_field_has_its_default_and_each_survives_the_document(plan):
    """Otherwise a field that the document drops would pass unnoticed."""
    defaults = {field.name: field.default for field in fields(plan)}
    assert [name for name, default in defaults.items() if getattr(plan, name) == default] == []
    text = plans.encode(plan)
    assert "\n" not in text
    assert plans.decode(text) == plan


names = st.text(min_size=1).filter(lambda name: "\0" not in name).map(Path)
texts = st.text(st.characters(exclude_categories=("Cs",)))


@given(data=names, out=names, texts=st.lists(texts), start=st.none() | names, warm_s=st.floats(0.0, 1e300))
def test_any_names_and_texts_survive_the_document(data, out, texts, start, warm_s):
    """Also names of files that are not UTF-8, which Python holds as lone surrogates."""
    plan = TrainingPlan(data, out, changes=tuple(texts), tasks=tuple(texts), start=start, warm_s=warm_s)
    assert plans.decode(plans.encode(plan)) == plan


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"job": "play"}, "job is 'play'; it must be one of: 'train', 'evaluate'"),
        ({"job": "evaluate"}, "a plan to evaluate without 'checkpoint'"),
        ({"out": ""}, "out is ''; it must be the name of a file or folder"),
        ({"out": "a\0b"}, "out is 'a\\x00b'; it must be the name of a file or folder"),
        ({"version": "two words"}, "version 'two words' must be one word"),
        ({"outcomes": []}, "outcomes is []; it must be a list of at least 1 value"),
        ({"outcomes": ["won"]}, "outcomes[0] is 'won'; it must be one of: 'success'"),
        ({"changes": ["epochs=3", 3]}, "changes[1] is 3; it must be a text"),
        ({"resume": 1}, "resume is 1; it must be true or false"),
        ({"warm_epochs": -1}, "warm_epochs is -1; it must be a whole number"),
        ({"warm_s": 1e999}, "not a number in JSON"),
        ({"warm_s": -0.5}, "warm_s is -0.5; it must be a finite number of at least 0"),
        ({"shell": "rm"}, "shell is not a field of a plan to train"),
    ],
)
def test_a_wrong_document_is_an_error_that_names_the_field(changed, message):
    document = {**json.loads(plans.encode(TRAINING)), **changed}
    with pytest.raises(PlanError) as error:
        plans.decode(json.dumps(document))
    assert message in str(error.value)


@pytest.mark.parametrize("name", [*(field.name for field in fields(TrainingPlan)), "job"])
def test_a_document_without_a_field_is_an_error(name):
    document = json.loads(plans.encode(TRAINING))
    del document[name]
    with pytest.raises(PlanError, match=f"without '{name}'"):
        plans.decode(json.dumps(document))


def test_an_invalid_plan_cannot_be_made():
    with pytest.raises(PlanError, match="episodes is 0; it must be a whole number from 1"):
        replace(EVALUATION, episodes=0)
    with pytest.raises(PlanError, match="warm_s is nan"):
        replace(TRAINING, warm_s=float("nan"))


def parsed(module, words):
    subparsers = (parser := argparse.ArgumentParser()).add_subparsers()
    module.add_parser(subparsers)
    return parser.parse_args(words.split())


def test_the_options_of_a_person_make_the_same_plan():
    words = (
        "train episodes --out policies/v3.running --version v3 --contract arm_push --recipe recipe.yaml "
        "--set epochs=3 --set hidden=[8] --outcome success --outcome failure --poor --recorded --task push "
        "--resume --overwrite --from policies/v2 --warm-epochs 7 --warm-seconds 2.5 --background --log tensorboard"
    )
    wanted = replace(TRAINING, recipe="recipe.yaml", changes=("epochs=3", "hidden=[8]"), tasks=("push",))
    wanted = replace(wanted, race=0.0)  # which chooses what --recipe, --resume and --from fix
    wanted = replace(wanted, joint=False, further=(), weights=())  # for the recorded contracts
    assert train.plan_of(parsed(train, words)) == wanted
    assert train.plan_of(parsed(train, "train episodes --out out --race 7.5")).race == 7.5
    assert train.plan_of(parsed(train, "train episodes --out out --race")).race == racing.RACE_S
    joint = train.plan_of(parsed(train, "train episodes more --joint --weight arm_push=2 --out out"))
    assert (joint.joint, joint.further, joint.weights) == (True, (Path("more"),), ("arm_push=2",))
    words = (
        "evaluate policies/v3 --episodes 5 --task push --simulator gazebo_classic --seed 9 --hold 0.5 --threads 2 "
        "--background --success-return 3 --execute 8"
    )
    assert evaluate.plan_of(parsed(evaluate, words), Path("policies/v3")) == EVALUATION


def test_the_options_left_out_make_a_plan_with_its_defaults():
    assert train.plan_of(parsed(train, "train episodes --out v1")) == TrainingPlan(
        Path("episodes"), Path("v1")
    )
    assert evaluate.plan_of(parsed(evaluate, "evaluate v1"), Path("v1")) == EvaluationPlan(Path("v1"), 50)


def ended(job):
    status, end_s = None, time.monotonic() + LONG_S
    try:
        while status is None:
            assert time.monotonic() < end_s
            _, status = job.poll()
            time.sleep(0.01)
    finally:
        job.close()
    return status, job.last_line


def test_a_process_reads_its_plan_and_its_error_message_is_its_last_line(tmp_path):
    plan = TrainingPlan(tmp_path / "no such folder", tmp_path / "out")
    status, last_line = ended(jobs.begin(plan))
    assert status == 2
    assert f"il-ros train: {tmp_path / 'no such folder'}: there is no such folder of episodes" in last_line


def test_a_process_ended_by_a_signal_is_said_to_be():
    command = (sys.executable, "-c", "import os; print('half way', flush=True); os.kill(os.getpid(), 9)")
    status, last_line = ended(Job(command))
    assert jobs.reason_of(status, last_line) == (
        "its process was ended by SIGKILL, as the system does when memory runs out; the last line of it: half way"
    )
    assert jobs.reason_of(2, "no such folder") == "no such folder"
    assert (
        jobs.reason_of(-15, "no output") == "its process was ended by SIGTERM; the last line of it: no output"
    )


@pytest.mark.parametrize("text", ["", "train episodes\n", '{"job": "train"}\n', "[" * 100_000 + "\n"])
def test_a_process_that_reads_no_plan_says_so(text):
    status, last_line = ended(Job(WORKER, text))
    assert status == 2
    assert "Traceback" not in last_line
    assert "not a plan: " in last_line


def test_a_process_that_dies_before_it_reads_its_plan_has_a_status():
    assert ended(Job(["true"], "x" * 1_000_000))[0] == 0  # more than a pipe holds
