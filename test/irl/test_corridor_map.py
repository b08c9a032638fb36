"""The corridor of `drive` as a grid, paths on it, and an episode that follows a path in the simulator."""

import numpy as np
import pytest
import torch

from il_ros.core import contract, share
from il_ros.irl.corridor_map import CorridorMap
from il_ros.irl.demonstrations import demonstrated
from il_ros.irl.heat_map import draw_heat_maps
from il_ros.irl.maximum_entropy import Problem, fit
from il_ros.irl.path_follower import MAX_TURN_RAD_S, PathFollower
from il_ros.irl.reward_models import clearance_reward
from il_ros.irl.soft_control import best_policy
from il_ros.policies.protocol import Window
from il_ros.rewards.protocol import Transition
from il_ros.sim.experts import make_expert
from il_ros.sim.rollout import rollout
from il_ros.sim.tasks.corridor import Corridor, Place
from il_ros.sim.tasks.task import make_task

FAR = Place(50.0, 50.0)


def straight(*cylinders: Place) -> Corridor:
    """Return a straight corridor of 8 m along x, 1.4 m wide; pieces that are not needed lie far away."""
    walls = [Place(0.6 + 1.15 * k, side * 0.725) for k in range(8) for side in (1.0, -1.0)]
    walls += [FAR] * (24 - len(walls))
    ends = (Place(-0.025, 0.0, np.pi / 2), Place(8.025, 0.0, np.pi / 2))
    placed = (*cylinders, *[FAR] * (2 - len(cylinders)))
    line = np.stack([np.arange(5) * 2.0, np.zeros(5)], axis=1)
    return Corridor(line, tuple(walls), ends, placed, (FAR, FAR), Place(0.5, 0.0), Place(7.4, 0.0))


def test_clearance_and_features_by_hand():
    seen = CorridorMap(straight(Place(4.0, 0.0)))
    # the walls' faces are at 0.7 m and the robot's radius is 0.16 m, so its centre has 0.54 m at the middle
    middle = seen.cell(np.array([2.0, 0.0]))
    centre_m = seen.centre_m(seen.grid.state(middle))
    assert seen.clearance_m[middle] == pytest.approx(0.54 - abs(centre_m[1]), abs=1e-9)
    # the cylinder's radius is 0.13 m
    before = seen.cell(np.array([3.0, 0.0]))
    centre_m = seen.centre_m(seen.grid.state(before))
    from_cylinder = np.hypot(*(centre_m - (4.0, 0.0))) - 0.13 - 0.16
    assert seen.clearance_m[before] == pytest.approx(min(from_cylinder, 0.54 - abs(centre_m[1])), abs=1e-9)
    state = seen.grid.state(seen.cell(np.array([2.0, 0.45])))
    to_the_right = seen.features[state, 0]  # along x: the clearance stays
    clearance = 0.54 - abs(seen.centre_m(state)[1])
    short = [0.1 * max(0.0, 1 - clearance / limit) for limit in (0.1, 0.2, 0.3)]
    np.testing.assert_allclose(to_the_right, [0.1, *short], atol=1e-9)
    of_half = CorridorMap(straight(Place(4.0, 0.0)), limits_m=(0.5,)).features[state, 0]
    np.testing.assert_allclose(of_half, [0.1, 0.1 * (1 - clearance / 0.5)], atol=1e-9)
    assert seen.features[state, 4, 0] == pytest.approx(0.1 * np.sqrt(2))
    assert not seen.features[list(seen.grid.ends)].any()


def test_a_robot_that_does_not_fit_past_has_no_path():
    with pytest.raises(
        ValueError, match=r"no path of cells of 0\.1 m leads from the corridor's start to its end zone"
    ):
        CorridorMap(straight(Place(4.0, 0.3), Place(4.0, -0.3)))


def test_a_driven_path_becomes_states_and_moves():
    seen = CorridorMap(straight())
    driven = np.stack([np.arange(0.5, 7.3, 0.03), np.zeros(227)], axis=1)
    states, moves = seen.episode(driven)
    assert set(moves.tolist()) == {0}  # to the right
    assert states[0] == seen.grid.state(seen.start)
    assert states[-1] in seen.grid.ends
    assert len(demonstrated(seen.mdp(), [(states, moves)]).visits)
    with pytest.raises(ValueError, match=r"the path ends at \[2\.0, 0\.0\] m, outside of the end zone"):
        seen.episode(np.array([[0.5, 0.0], [2.0, 0.0]]))


def test_pure_pursuit_turns_towards_the_path():
    follower = PathFollower(np.array([[0.0, 0.0], [0.5, 0.0], [1.0, 0.0]]))
    ahead = follower.act(np.array([0.0, 0.0]), 0.0)
    np.testing.assert_allclose(ahead, [[0.5, 0.0]], atol=1e-12)
    # 0.3 m left of the path: the target (0.5, 0) lies right; curvature 2 sin(a) / L with L^2 = 0.25 + 0.09
    aside = follower.act(np.array([0.0, 0.3]), 0.0)
    angle, away = np.arctan2(-0.3, 0.5), np.hypot(0.5, 0.3)
    np.testing.assert_allclose(
        aside, [[0.5 * np.cos(angle), np.cos(angle) * np.sin(angle) / away]], rtol=1e-9
    )
    np.testing.assert_allclose(follower.act(np.array([0.0, 0.0]), np.pi / 2), [[0.0, -MAX_TURN_RAD_S]])
    with pytest.raises(ValueError, match=r"the path has shape \(2,\); it must be \(N, 2\)"):
        PathFollower(np.zeros(2))


def return_by_scan(reward, driven):
    """Return the return of a roll-out by its laser scans and commands alone, without a map."""
    scans = torch.from_numpy(driven.observations["scan"]).float()[:, None]
    commands = torch.from_numpy(reward.normaliser.actions.normalise(driven.actions)).float()
    no = torch.zeros(len(scans) - 1, dtype=torch.bool)
    steps = Transition(Window(scans[:-1]), commands[:-1], Window(scans[1:]), no, no)
    return float(reward.network.reward(steps).sum())


def test_a_reward_of_one_demonstration_leads_the_robot_through_a_corridor_that_was_not_shown(tmp_path):
    task, own = make_task("drive"), contract.load(share.path("config", "contracts", "drive.yaml"))
    expert, path_m = make_expert("drive"), []

    def shown(observation):
        path_m.append(task.scene.position_m[:2].copy())
        return expert.act(observation)

    driven = rollout(task, shown, own, 0, hold_s=0.5)
    assert driven.success
    seen = CorridorMap(task.corridor)
    states, moves = seen.episode(np.array([*path_m, task.scene.position_m[:2]]))
    reward = fit([Problem(seen.mdp(), seen.features, demonstrated(seen.mdp(), [(states, moves)]))])
    assert reward.parameters[0] < -1.0  # moves cost
    by_scan = return_by_scan(clearance_reward(own, reward), driven)
    assert by_scan == pytest.approx(reward.reward(seen.features)[states[:-1], moves].sum(), rel=0.3)
    task.reset(1)
    other = CorridorMap(task.corridor)
    follower = PathFollower(other.path_m(best_policy(other.mdp(), reward.reward(other.features))))

    def followed(_observation):
        w, _, _, z = task.scene.quaternion
        return follower.act(task.scene.position_m[:2], 2 * np.arctan2(z, w))

    assert rollout(task, followed, own, 1).success
    draw_heat_maps(
        tmp_path / "reward.svg", other.grid, {"reward": reward.reward(other.features).mean(axis=1)}
    )
    assert "reward" in (tmp_path / "reward.svg").read_text()
