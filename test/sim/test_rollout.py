import numpy as np
import pytest

from il_ros.core import contract, share
from il_ros.core.codecs import decode
from il_ros.sim.experts import make_expert
from il_ros.sim.lockstep import command_messages
from il_ros.sim.rollout import Film, rollout
from il_ros.sim.tasks.kinematics import pointing_down
from il_ros.sim.tasks.task import make_task, task_class, task_names


def load(name):
    return contract.load(share.path("config", "contracts", f"{name}.yaml"))


REACH = load("arm_reach")


def test_a_rollout_returns_observations_and_actions():
    run = rollout(make_task("reach"), make_expert("reach").act, REACH, seed=4)
    assert (run.success, run.failed, run.task, run.seed) == (True, False, "reach", 4)
    assert run.duration_s == pytest.approx(0.05 * run.steps)
    assert run.actions.shape == (run.steps, 7)
    assert {key: value.shape for key, value in run.observations.items()} == {
        spec.key: (run.steps, *spec.shape) for spec in REACH.observations
    }
    assert run.frames.shape[0] == 0


def test_equal_seeds_give_equal_episodes():
    first, second = (rollout(make_task("reach"), make_expert("reach").act, REACH, 2) for _ in range(2))
    assert first.actions.tobytes() == second.actions.tobytes()
    assert first.observations["joints"].tobytes() == second.observations["joints"].tobytes()


def test_without_success_it_ends_at_the_time_limit():
    task = make_task("reach")
    stay = pointing_down(np.array([0.2, 0.0, 0.5]))
    run = rollout(task, lambda seen: np.array([[*stay, 0.02]]), REACH, 0)
    assert not run.success
    assert run.steps == task.time_limit_s * 20


def test_it_ends_when_act_gives_up():
    stay = np.array([[*pointing_down(np.array([0.2, 0.0, 0.5])), 0.02]])
    answers = iter([stay, stay, stay, None])
    run = rollout(make_task("reach"), lambda seen: next(answers), REACH, 0)
    assert (run.steps, run.success, run.failed) == (3, False, False)
    assert len(run.observations["joints"]) == len(run.actions) == 3


def test_success_must_hold_for_hold_s():
    act = make_expert("reach").act
    at_once = rollout(make_task("reach"), act, REACH, 4)
    held = rollout(make_task("reach"), act, REACH, 4, hold_s=0.5)
    assert held.success
    assert held.steps == at_once.steps + 10 - 1  # the period in which it succeeded counts


def test_a_film_keeps_every_n_th_frame():
    run = rollout(make_task("reach"), make_expert("reach").act, REACH, 4, film=Film("scene", 20, 10, every=3))
    assert run.frames.shape == (-(-run.steps // 3), 10, 20, 3)


def test_commands_map_the_action_to_the_contracts_topics():
    action = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.07])
    commands = command_messages(REACH, action, 5)
    assert decode(REACH.action("arm"), commands["arm_position_controller/commands"]).tolist() == [
        0.1, 0.2, 0.3, 0.4, 0.5, 0.6,
    ]  # fmt: skip
    assert decode(REACH.action("gripper"), commands["gripper_position_controller/commands"]).tolist() == [
        0.07
    ]


def test_a_contract_for_another_robot_is_refused():
    with pytest.raises(ValueError, match=r"contract drive observes scan; reach publishes: goal_pose, joint"):
        rollout(make_task("reach"), make_expert("reach").act, load("drive"), 0)


def test_a_contract_of_another_rate_is_refused():
    text = REACH.text.replace("rate_hz: 20 ", "rate_hz: 10 ")
    with pytest.raises(ValueError, match="rate_hz 10; reach is controlled at 20 Hz"):
        rollout(make_task("reach"), make_expert("reach").act, contract.parse(text, "slower"), 0)


@pytest.mark.parametrize("name", task_names())
def test_a_restored_state_has_the_same_future_as_the_recorded_one(name):
    """Equal commands from an equal state give equal bits, in a task that was in another state before."""
    chosen = contract.find(task_class(name).contract)
    first, other = make_task(name), make_task(name)
    rng = np.random.default_rng(0)
    low = np.concatenate([action.limits.arrays()[0] for action in chosen.actions])
    high = np.concatenate([action.limits.arrays()[1] for action in chosen.actions])
    targets = rng.uniform(np.maximum(low, -0.4), np.minimum(high, 0.4), (30, chosen.action_size))

    def step(task, target):
        task.step(command_messages(chosen, target, task.time_ns))

    first.reset(5)
    for target in targets[:15]:
        step(first, target)
    state = first.state()
    other.reset(5)
    step(other, targets[-1])
    other.restore(state)
    np.testing.assert_array_equal(other.state(), state)
    for target in targets[15:]:
        step(first, target)
        step(other, target)
    np.testing.assert_array_equal(other.state(), first.state())
    with pytest.raises(ValueError, match="another model's"):
        other.restore(state[1:])
