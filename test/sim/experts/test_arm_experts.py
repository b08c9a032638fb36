"""The arm's experts: they succeed, have no memory, and stay within the safety limiter's bounds."""

import numpy as np
import pytest

from il_ros.core import contract, share
from il_ros.sim.experts import make_expert
from il_ros.sim.rollout import rollout
from il_ros.sim.tasks.kinematics import forward, pointing_down
from il_ros.sim.tasks.task import make_task

SEEDS = range(5)


def load(name):
    return contract.load(share.path("config", "contracts", f"arm_{name}.yaml"))


@pytest.fixture(scope="module")
def episodes():
    return {
        name: [rollout(make_task(name), make_expert(name).act, load(name), seed) for seed in SEEDS]
        for name in ("reach", "push", "pick_place")
    }


@pytest.mark.parametrize("name", ["reach", "push", "pick_place"])
def test_the_expert_succeeds_from_every_seed(episodes, name):
    assert [run.success for run in episodes[name]] == [True] * len(SEEDS)


@pytest.mark.parametrize("name", ["reach", "push", "pick_place"])
def test_an_expert_is_a_function_of_the_observation(episodes, name):
    run, fresh = episodes[name][0], make_expert(name)
    for k in reversed(range(run.steps)):
        seen = {key: values[k] for key, values in run.observations.items()}
        assert fresh.act(seen)[0].tobytes() == run.actions[k].tobytes()


@pytest.mark.parametrize("name", ["reach", "push", "pick_place"])
def test_commands_keep_the_contracts_limits(episodes, name):
    lower, upper, speed, _ = load(name).action("arm").limits.arrays()
    for run in episodes[name]:
        arm = run.actions[:, :6]
        assert (arm >= lower).all()
        assert (arm <= upper).all()
        steps = np.abs(np.diff(arm, axis=0)) / 0.05
        # the first contact stops the arm abruptly for a tick or two; the limiter may limit those
        assert (steps > speed).any(axis=1).mean() < 0.03
        lead = np.abs(arm - run.observations["joints"][:, :6])
        assert lead.max() <= 0.096


def see(tip, obj, goal, yaw=0.0, opening=0.03):
    joints = np.array([*pointing_down(np.array(tip), yaw), opening])
    return {
        "joints": joints,
        "object": np.array([*obj, 0.0, 0.0, 0.0, 1.0]),
        "goal": np.array([*goal, 0.0, 0.0, 0.0, 1.0]),
    }


def way(name, **where):
    """Return the commanded displacement of the tip, (3,) metres, and the gripper's opening."""
    seen = see(**where)
    action = make_expert(name).act(seen)[0]
    return forward(action[:6])[0] - forward(seen["joints"][:6])[0], action[6]


BLOCK, MARK = [0.3, 0.0, 0.02], [0.42, 0.0, 0.0]


def test_push_moves_behind_the_block_at_a_height_above_it():
    move, _ = way("push", tip=[0.38, 0.0, 0.09], obj=BLOCK, goal=MARK)
    assert move[0] < -0.005
    assert abs(move[2]) < 0.002


def test_push_descends_behind_the_block():
    move, _ = way("push", tip=[0.23, 0.0, 0.09], obj=BLOCK, goal=MARK)
    assert move[2] < -0.005
    assert abs(move[0]) < 0.002


def test_push_pushes_along_the_line_to_the_mark():
    turn = 0.5
    ahead = np.array([np.cos(turn), np.sin(turn), 0.0])
    goal = BLOCK + 0.12 * ahead
    move, _ = way("push", tip=BLOCK - 0.041 * ahead, obj=BLOCK, goal=goal, yaw=turn)
    assert move @ ahead > 0.005
    np.testing.assert_allclose(move - (move @ ahead) * ahead, 0.0, atol=0.002)


def test_push_rests_when_the_block_lies_on_its_mark():
    move, _ = way("push", tip=[0.379, 0.0, 0.02], obj=[0.42, 0.0, 0.02], goal=MARK)
    assert np.linalg.norm(move) < 0.001


@pytest.mark.parametrize(
    ("block", "gives_up"),
    [
        ([0.47, 0.0, 0.02], True),  # 5 cm past the mark
        ([0.454, 0.0, 0.02], False),  # 3.4 cm: half a centimetre more than success allows is 3.5
        ([0.456, 0.0, 0.02], True),
        ([0.37, 0.0, 0.02], False),  # in front of it
        ([0.41, 0.1, 0.02], True),  # beside it: 0.4220 m from the arm's base, the mark 0.42 m
        ([0.4, 0.1, 0.02], False),  # 0.4123 m
    ],
)
def test_push_gives_up_a_block_that_is_past_its_mark(block, gives_up):
    advice = make_expert("push").act(see(tip=[0.4, 0.0, 0.05], obj=block, goal=MARK))
    assert (advice is None) is gives_up


CUBE, BIN = [0.3, -0.1, 0.02], [0.32, 0.18, 0.0]


@pytest.mark.parametrize(
    ("tip", "opening", "goes", "opens"),
    [
        ([0.25, 0.0, 0.15], 0.08, "cube", True),
        ([0.30, -0.1, 0.08], 0.08, "down", True),
        ([0.30, -0.1, 0.016], 0.08, "stay", False),
        ([0.30, -0.1, 0.016], 0.040, "up", False),
        ([0.30, -0.1, 0.08], 0.040, "down", True),  # closed over nothing
    ],
)
def test_pick_place_fetches_the_cube(tip, opening, goes, opens):
    move, commanded = way("pick_place", tip=tip, obj=CUBE, goal=BIN, opening=opening)
    assert bool(commanded > 0.06) is opens
    expected = {"cube": move[1] < -0.005, "down": move[2] < -0.005, "up": move[2] > 0.005}
    assert expected.get(goes, np.linalg.norm(move) < 0.002)


def test_pick_place_carries_high_and_releases_over_the_bin():
    held = {"opening": 0.040, "goal": BIN}
    move, opening = way("pick_place", tip=[0.3, 0.0, 0.13], obj=[0.3, 0.0, 0.134], **held)
    assert move[1] > 0.005
    assert opening < 0.04
    _, opening = way("pick_place", tip=[0.32, 0.18, 0.1], obj=[0.32, 0.18, 0.104], **held)
    assert opening > 0.06


@pytest.mark.parametrize(("x", "gives_up"), [(0.512, False), (0.515, True)])
def test_pick_place_gives_up_a_cube_out_of_reach(x, gives_up):
    # grasping 4 mm below the centre puts the wrist 0.016 + 0.14 - 0.12 = 0.036 m above the shoulder, at most
    # 0.515 m from it: sqrt(0.515^2 - 0.036^2) = 0.5137 m
    seen = see(tip=[0.3, 0.0, 0.1], obj=[x, 0.0, 0.02], goal=BIN)
    assert (make_expert("pick_place").act(seen) is None) is gives_up
