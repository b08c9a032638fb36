"""Experts by word."""

import gymnasium
import numpy as np
import point_env
import pytest

from il_ros.core import contract
from il_ros.envs.experts import ExpertError, FunctionExpert, expert_of, unobserved
from il_ros.envs.from_env import contract_of
from il_ros.envs.tasks import make_any_task
from il_ros.sim.experts.reach import ReachExpert
from il_ros.sim.lockstep import Lockstep
from il_ros.sim.rollout import rollout

FILE = """\
import numpy as np

WORDS = "no function"

def act(observation):
    return np.array([0.5], np.float32)

def hasty(observation):
    first, second = observation
    return first

def string(observation):
    return "left"

def quits(observation):
    raise SystemExit(0)

class Still:
    def act(self, observation):
        return np.array([0.0], np.float32)

class Needy:
    def __init__(self, gains):
        self.act = gains
"""


def rollout_start(task, own):
    """Return what is observed at the start of an episode."""
    world = Lockstep(task, own)
    world.reset(0)
    return world.observe()


@pytest.fixture(scope="module")
def point():
    return make_any_task(point_env.NAME)


@pytest.fixture
def file(tmp_path):
    (tmp_path / "mine.py").write_text(FILE)
    return tmp_path / "mine.py"


def test_a_function_or_a_class_of_a_file_and_of_a_module(point, file):
    task, own = point
    task.reset(0)
    for word, expected in ((f"{file}:act", 0.5), (f"{file}:Still", 0.0)):
        assert expert_of(word, task, own).act({}).tolist() == [[expected]]
    shown = expert_of("point_env:expert", task, own).act({})
    assert shown.tolist() == [[-float(task.observation[0])]]


def test_a_simulated_task_has_a_script_and_takes_functions_of_the_contracts_observation():
    task, own = make_any_task("reach")
    task.reset(0)
    seen = rollout_start(task, own)
    assert expert_of("scripted", task, own).act(seen).tolist() == ReachExpert().act(seen).tolist()
    seen = {"joints": np.arange(7.0)}
    assert FunctionExpert(task, own, lambda each: each["joints"]).act(seen).tolist() == [[*range(7)]]
    with pytest.raises(ExpertError, match=r"needed: finite numbers of arm/joint1, .*gripper/gripper"):
        FunctionExpert(task, own, lambda each: each["joints"][:3], "mine").act(seen)


def test_the_script_acts_by_the_state_where_the_contract_has_pictures_only():
    """As its node does: `arm_push_images` has neither the block nor the mark."""
    own = contract.find("arm_push")
    pictures = contract.parse(
        contract.find("arm_push_images").text.replace("width: 96, height: 96", "width: 24, height: 24"),
        "small",
    )
    assert unobserved("push", pictures) == ["object", "goal"]
    assert unobserved("push", own) == []
    plain, _ = make_any_task("push", own)
    task, _ = make_any_task("push", pictures)
    wanted = rollout(plain, expert_of("scripted", plain, own).act, own, seed=3)
    done = rollout(task, expert_of("scripted", task, pictures).act, pictures, seed=3)
    assert done.success
    np.testing.assert_array_equal(done.actions, wanted.actions)


def test_the_script_commands_in_the_contracts_order_and_no_other_numbers():
    task, own = make_any_task("reach")
    arm = own.text.index("  arm:\n")
    gripper = own.text.index("  gripper:\n", arm)
    head, parts = own.text[:arm], (own.text[arm:gripper], own.text[gripper:].rstrip() + "\n")
    turned = contract.parse(head + parts[1] + parts[0], "turned")
    assert turned.action_names == ("gripper/gripper", *own.action_names[:6])
    seen = rollout_start(task, own)
    (command,) = ReachExpert().act(seen)
    (given,) = expert_of("scripted", task, turned).act(seen)
    assert given.tolist() == [command[6], *command[:6]]
    arm_only = contract.parse(head + parts[0], "arm_only")
    with pytest.raises(
        ExpertError, match=r"contract arm_reach commands arm/joint1, .*arm/joint6; the scripted"
    ):
        expert_of("scripted", task, arm_only)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("scripted", "'Point-v0' has no scripted expert; give a function"),
        ("nothing.py:act", "expert file 'nothing.py' does not exist"),
        ("no_module:act", "expert module 'no_module' cannot be imported"),
        ("act", "expert 'act' is not 'scripted', a folder with a policy, FILE.py:FUNCTION or module"),
        ("point_env:nobody", "point_env has no 'nobody'"),
        ("point_env:NAME", "'NAME' is no function and has no method 'act'"),
    ],
)
def test_a_word_that_names_no_expert_is_refused(point, word, message):
    with pytest.raises(ExpertError, match=message):
        expert_of(word, *point)


def test_an_answer_that_is_no_action_names_the_function(point):
    task, own = point
    task.reset(0)
    with pytest.raises(ExpertError, match=r"point_env:wrong: the action space is Box.* not of shape \(3,\)"):
        expert_of("point_env:wrong", task, own).act({})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hasty", r"mine.py:hasty: ValueError: not enough values.* \(line 9 of .*mine.py\)"),
        ("string", r"mine.py:string: the action space is Box"),
        ("quits", r"mine.py:quits: SystemExit: 0 \(line 16 of .*mine.py\)"),
    ],
)
def test_a_function_that_fails_is_named_with_its_line(point, file, name, message):
    task, own = point
    task.reset(0)
    with pytest.raises(ExpertError, match=message):
        expert_of(f"{file}:{name}", task, own).act({})
    reach, own = make_any_task("reach")
    with pytest.raises(ExpertError, match=r"mine: returned 'left'; needed: finite numbers"):
        FunctionExpert(reach, own, lambda _: "left", "mine").act({})


@pytest.mark.parametrize("text", ["def act(:", "import no_such_module", "1 / 0", "raise SystemExit(3)"])
def test_a_file_or_module_that_cannot_be_imported_is_named(point, tmp_path, monkeypatch, text):
    (tmp_path / "broken_expert.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    for place in (str(tmp_path / "broken_expert.py"), "broken_expert"):
        with pytest.raises(ExpertError, match=r"broken_expert.*' cannot be imported: \w+(Error: |Exit: 3)"):
            expert_of(f"{place}:act", *point)
    with pytest.raises(ExpertError, match=r"expert module '\.\.x' cannot be imported: TypeError: "):
        expert_of("..x:act", *point)


def test_a_class_that_cannot_be_made_is_named(point, file):
    with pytest.raises(ExpertError, match=r"'Needy' cannot be made: TypeError: .*gains"):
        expert_of(f"{file}:Needy", *point)


def test_an_expert_works_under_a_contract_with_other_keys(file):
    text = contract_of(gymnasium.make(point_env.NAME)).text
    assert "  action:" in text
    assert "  observation:" in text
    renamed = contract.parse(
        text.replace("  action:", "  push:").replace("  observation:", "  place:"), "renamed.yaml"
    )
    task, own = make_any_task(point_env.NAME, renamed)
    task.reset(0)
    assert expert_of(f"{file}:act", task, own).act({}).tolist() == [[0.5]]
    run = rollout(task, expert_of("point_env:expert", task, own).act, own, seed=0)
    assert (run.steps, run.success, sorted(run.observations)) == (8, True, ["place"])
