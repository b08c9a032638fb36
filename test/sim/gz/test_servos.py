"""gz-sim's position controllers, with the gains in worlds/ and the damping in models/, match MuJoCo's servos.

The tests in DART need its binding: `pip install dartpy` (18 MB, not a dependency of this package).
"""

from xml.etree import ElementTree

import mujoco
import numpy as np
import pytest
from dart_arm import STEP_S, DartArm, controllers, number

from il_ros.core import contract, share
from il_ros.sim.experts import make_expert
from il_ros.sim.gz.arm import NAMES
from il_ros.sim.mujoco.arm import MujocoArm
from il_ros.sim.rollout import rollout
from il_ros.sim.tasks.task import NO_CAMERAS, make_task

TICK_STEPS = 20  # of 2.5 ms: one command per 50 ms


@pytest.fixture
def dart():
    return pytest.importorskip("dartpy", reason="no DART: pip install dartpy")


@pytest.mark.parametrize("world", ["reach", "push", "pick_place"])
def test_gains_and_damping_are_those_of_mujocos_servos(world):
    model = MujocoArm("push", NO_CAMERAS).model
    found = {
        plugin.findtext("joint_name"): plugin
        for plugin in controllers(ElementTree.parse(share.path("worlds", f"{world}.sdf")).getroot())
    }
    arm = ElementTree.parse(share.path("models", "arm", "model.sdf")).getroot().find("model")
    assert set(found) == set(NAMES)
    for name in NAMES:
        plugin, joint = found[name], arm.find(f"joint[@name='{name}']")
        assert number(plugin, "i_gain") == number(plugin, "d_gain") == 0.0
        assert number(plugin, "cmd_max") == -number(plugin, "cmd_min") == number(joint, "axis/limit/effort")
        damping = number(joint, "axis/dynamics/damping")
        if name.endswith("finger"):
            # MuJoCo's tendon acts on the opening with 600 N/m; half of limit and damping gives the same speed
            assert (number(plugin, "p_gain"), damping) == (2 * 600, model.joint(name).damping[0] / 2)
            continue
        servo = model.actuator(name)
        stiffness, slowing = servo.gainprm[0], -servo.biasprm[2]
        assert number(plugin, "p_gain") == pytest.approx(stiffness)
        assert damping == pytest.approx(slowing + model.joint(name).damping[0])
        assert number(plugin, "cmd_max") == servo.forcerange[1]


def demonstrated(task):
    """Return the expert's commands as joint targets (T, 8), and the start (8,)."""
    terms, embedded = contract.load(share.path("config", "contracts", f"arm_{task}.yaml")), make_task(task)
    shown = rollout(embedded, make_expert(task).act, terms, 100)
    assert shown.success
    embedded.reset(100)
    targets = np.array([[*action[:6], action[6] / 2, action[6] / 2] for action in shown.actions])
    targets = np.concatenate([targets, np.repeat(targets[-1:], 60, axis=0)])  # held for 3 s
    return targets, embedded.scene.data.qpos[: len(NAMES)].copy()


def in_mujoco(targets, start):
    """Return positions and speeds (T * 20, 8) of MuJoCo's arm without objects."""
    scene = MujocoArm("reach", NO_CAMERAS)
    model, data = scene.model, scene.data
    assert model.opt.timestep == STEP_S
    mujoco.mj_resetData(model, data)
    data.qpos[: len(NAMES)] = start
    positions, speeds = [], []
    for target in targets:
        data.ctrl[:7] = [*target[:6], target[6] + target[7]]
        for _ in range(TICK_STEPS):
            mujoco.mj_step(model, data)
            positions.append(data.qpos[: len(NAMES)].copy())
            speeds.append(data.qvel[: len(NAMES)].copy())
    return np.array(positions), np.array(speeds)


def in_dart(arm, targets, start):
    arm.put(start)
    parts = [arm.drive(target, TICK_STEPS) for target in targets]
    return tuple(np.concatenate(some) for some in zip(*parts, strict=True))


@pytest.mark.parametrize("task", ["push", "pick_place"])
def test_in_dart_the_joints_follow_the_experts_commands_as_in_mujoco(task, dart):
    targets, start = demonstrated(task)
    expected, expected_speed = in_mujoco(targets, start)
    position, speed = in_dart(DartArm(dart, task), targets, start)
    apart, faster = np.abs(position - expected).max(axis=0), np.abs(speed - expected_speed).max(axis=0)
    assert apart[:6].max() < 0.010, f"{apart} rad"
    assert apart[6:].max() < 0.005, f"{apart} m"
    assert faster[:6].max() < 0.5, f"no chatter: {faster} rad/s"
    assert faster[6:].max() < 0.1, f"no chatter: {faster} m/s"
    np.testing.assert_allclose(position[-1], targets[-1], rtol=0, atol=1e-4)  # it arrives


def test_in_dart_a_derivative_taken_per_step_chatters(dart):
    """Planted fault for the test above: earlier gains, too high for links without the motors' inertia."""
    targets, start = demonstrated("push")

    def before(_):
        p = [250, 310, 120, 26, 26, 12.6, 600, 600]
        d = [14.5, 17.5, 6.8, 1.5, 1.5, 0.72, 30, 30]
        return {name: (p[k], d[k], 0.0) for k, name in enumerate(NAMES)}

    expected, expected_speed = in_mujoco(targets, start)
    position, speed = in_dart(DartArm(dart, "push", before), targets, start)
    assert np.abs(speed - expected_speed).max() > 5.0
    assert np.abs(position - expected).max() > 0.1
