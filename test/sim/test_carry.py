"""`carry`: two arms and a bar. Kinematics by hand, physics by seed, the expert, and what loses the bar."""

import numpy as np
import pytest

from il_ros.core import contract, messages
from il_ros.sim.experts import make_expert
from il_ros.sim.rollout import rollout
from il_ros.sim.tasks.carry import LEFT, RIGHT, ends, reaching, tips
from il_ros.sim.tasks.task import make_task

OWN = contract.find("carry")
SEEDS = range(8)


def numbers(*values):
    return messages.make("std_msgs/msg/Float64MultiArray", data=np.array(values, dtype=float))


@pytest.fixture(scope="module")
def episodes():
    return [rollout(make_task("carry"), make_expert("carry").act, OWN, seed) for seed in SEEDS]


def test_the_tips_are_where_the_angles_put_them():
    """Stretched along y: 0.3 + 0.25 m from the shoulders; left elbow at a right angle: the forearm along -x."""
    np.testing.assert_allclose(tips(np.zeros(4)), [[-0.25, 0.55], [0.25, 0.55]])
    bent = tips(np.array([0.0, np.pi / 2, -np.pi / 2, 0.0]))
    np.testing.assert_allclose(bent, [[-0.5, 0.3], [0.8, 0.0]], atol=1e-12)


def test_the_ends_of_a_bar_are_half_its_length_away():
    np.testing.assert_allclose(ends(np.array([0.1, 0.3, np.pi / 2])), [[0.1, 0.15], [0.1, 0.45]])


@pytest.mark.parametrize("bar", [(0.0, 0.26, 0.0), (0.07, 0.4, 0.3), (-0.05, 0.23, -0.25)])
def test_the_arms_reach_the_ends_with_their_elbows_outwards(bar):
    joints = reaching(ends(np.array(bar)))
    np.testing.assert_allclose(tips(joints), ends(np.array(bar)), atol=1e-12)
    assert joints[1] < 0 < joints[3]


def test_the_model_has_the_kinematics_of_the_task():
    task = make_task("carry")
    task.reset(3)
    assert task.scene.held
    for site, wanted in zip(("left_tip", "right_tip"), tips(task.scene.joints_rad), strict=True):
        np.testing.assert_allclose(task.scene.data.site(site).xpos[:2], wanted, atol=1e-9)
    for site, wanted in zip(("bar_left", "bar_right"), ends(task.scene.bar), strict=True):
        np.testing.assert_allclose(task.scene.data.site(site).xpos[:2], wanted, atol=1e-9)


def test_the_expert_succeeds_from_every_seed_within_the_contracts_limits(episodes):
    assert [run.success for run in episodes] == [True] * len(SEEDS)
    lower, upper, _, _ = OWN.action("left_arm").limits.arrays()
    for run in episodes:
        assert run.steps > 10  # a second at least: time to correct it
        assert (run.actions.reshape(-1, 2, 2) >= lower).all()
        assert (run.actions.reshape(-1, 2, 2) <= upper).all()


def test_the_expert_is_a_function_of_the_observation(episodes):
    run, fresh = episodes[0], make_expert("carry")
    for k in reversed(range(run.steps)):
        seen = {key: values[k] for key, values in run.observations.items()}
        assert fresh.act(seen)[0].tobytes() == run.actions[k].tobytes()


def driven(task, seed, steps):
    """Return the state after commands that depend on the step number alone."""
    task.reset(seed)
    start = task.scene.joints_rad
    for k in range(steps):
        target = start + 0.05 * np.sin(k / 5)
        task.step({LEFT: numbers(*target[:2]), RIGHT: numbers(*target[2:])})
    return task.state()


def test_an_episode_depends_on_seed_and_commands_only():
    task, other = make_task("carry"), make_task("carry")
    first = driven(task, 3, 30)
    driven(other, 8, 11)
    assert driven(other, 3, 30).tobytes() == first.tobytes()
    assert driven(other, 4, 30).tobytes() != first.tobytes()


def test_a_restored_state_has_the_same_future():
    task = make_task("carry")
    state = driven(task, 3, 10)
    futures = []
    for _ in range(2):
        task.restore(state)
        for _ in range(5):
            task.step({})
        futures.append(task.state())
    assert futures[0].tobytes() == futures[1].tobytes()


def test_arms_that_pull_against_each_other_lose_the_bar_and_the_expert_gives_up():
    """Both tips are commanded outwards along x: 0.05 m each is more than 0.08 m in all."""
    task, expert = make_task("carry"), make_expert("carry")
    task.reset(0)
    held = reaching(ends(task.scene.bar) + np.array([[-0.035, 0.0], [0.035, 0.0]]))
    task.step({LEFT: numbers(*held[:2]), RIGHT: numbers(*held[2:])})
    assert not task.failed
    apart = reaching(ends(task.scene.bar) + np.array([[-0.06, 0.0], [0.06, 0.0]]))
    for _ in range(40):
        task.step({LEFT: numbers(*apart[:2]), RIGHT: numbers(*apart[2:])})
    assert task.failed
    assert not task.success
    seen = {"joints": task.scene.joints_rad}
    for key, (x, y, turn) in (("bar", task.scene.bar), ("goal", task.scene.goal)):
        seen[key] = np.array([x, y, 0.0, 0.0, 0.0, np.sin(turn / 2), np.cos(turn / 2)])
    assert expert.act(seen) is None


@pytest.mark.parametrize(
    ("commands", "message"),
    [
        (
            {"arm/commands": numbers(0.0, 0.0)},
            "arm/commands: there is no such command topic; the arms have: left_",
        ),
        ({LEFT: numbers(0.0)}, f"{LEFT}: two finite numbers are needed, not"),
        ({RIGHT: numbers(0.0, np.nan)}, f"{RIGHT}: two finite numbers are needed, not"),
    ],
)
def test_a_wrong_command_is_refused_by_name_without_a_step(commands, message):
    task = make_task("carry")
    task.reset(0)
    before = task.state()
    with pytest.raises(ValueError, match=message):
        task.step(commands)
    assert task.state().tobytes() == before.tobytes()


def test_each_arm_is_an_action_group():
    assert [(group.name, group.columns) for group in OWN.groups] == [("left", (0, 1)), ("right", (2, 3))]
