"""MJCF and SDF models agree on the poses of links, tool and cameras. Needs no Gazebo."""

import math
import os
import re
import shutil
import subprocess
from xml.etree import ElementTree

import mujoco
import numpy as np
import pytest

from il_ros.core import share
from il_ros.sim.gazebo import process
from il_ros.sim.gazebo.world import world_element, world_text
from il_ros.sim.mujoco import arm, drive_model
from il_ros.sim.tasks.corridor import random_corridor
from il_ros.sim.tasks.corridor_pieces import SIZES_M, places
from il_ros.sim.tasks.drive_scene import WHEEL_RADIUS_M, WHEEL_SEPARATION_M
from il_ros.sim.tasks.kinematics import TOOL_M, forward
from il_ros.sim.tasks.laser import BEAMS, RANGE_M, beam_angles
from il_ros.sim.tasks.task import NO_CAMERAS, Cameras

MODELS, WORLDS = share.path("models"), share.path("worlds")
JOINTS = [*(f"joint{k}" for k in range(1, 7)), "left_finger", "right_finger"]


def rotation(roll, pitch, yaw):
    cr, sr, cp, sp, cy, sy = (f(a) for a in (roll, pitch, yaw) for f in (math.cos, math.sin))
    about_x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    about_y = np.array([[cp, 0, sp], [0, 1, 0], [-sp, 0, cp]])
    about_z = np.array([[cy, -sy, 0], [sy, cy, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def transform(element):
    """Return the 4 x 4 matrix of an element's <pose>."""
    numbers = [float(number) for number in (element.findtext("pose") or "0 0 0 0 0 0").split()]
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation(*numbers[3:]), numbers[:3]
    return matrix


def moved(axis, kind, value):
    """Return the 4 x 4 matrix of a joint's motion; rotations by Rodrigues' formula."""
    matrix = np.eye(4)
    if kind == "prismatic":
        matrix[:3, 3] = value * axis
        return matrix
    cross = np.cross(axis, np.eye(3)).T  # cross @ v is axis x v
    matrix[:3, :3] = np.eye(3) + math.sin(value) * cross + (1 - math.cos(value)) * cross @ cross
    return matrix


def sdf(name):
    return ElementTree.parse(MODELS / name / "model.sdf").getroot().find("model")


def links_of(model, positions):
    """Return the 4 x 4 pose of every link, computed from the SDF."""
    rest = {link.get("name"): transform(link) for link in model.findall("link")}
    poses = {"base": rest["base"]}
    for joint in model.findall("joint"):
        parent, child = joint.findtext("parent"), joint.findtext("child")
        if parent == "world":
            continue
        assert joint.find("pose") is None, "the joint's frame is its child's"
        axis = np.array([float(number) for number in joint.findtext("axis/xyz").split()])
        motion = moved(axis, joint.get("type"), positions[joint.get("name")])
        poses[child] = poses[parent] @ np.linalg.inv(rest[parent]) @ rest[child] @ motion
    return poses


def test_links_tool_and_wrist_camera_have_the_same_poses_as_in_mujoco():
    model, rng = sdf("arm"), np.random.default_rng(0)
    scene = arm.MujocoArm("push", NO_CAMERAS)
    ranges = np.array([scene.model.joint(name).range for name in JOINTS])
    sensor = transform(next(model.iter("sensor")))
    for _ in range(50):
        positions = rng.uniform(ranges[:, 0], ranges[:, 1])
        scene.data.qpos[:8] = positions
        mujoco.mj_forward(scene.model, scene.data)
        poses = links_of(model, dict(zip(JOINTS, positions, strict=True)))
        for link in ("link1", "link2", "link3", "link4", "link5", "link6", "left_finger", "right_finger"):
            name = link + "_link" if link.endswith("finger") else link
            np.testing.assert_allclose(poses[name][:3, 3], scene.data.body(link).xpos, atol=1e-3)
            np.testing.assert_allclose(
                poses[name][:3, :3], scene.data.body(link).xmat.reshape(3, 3), atol=1e-3
            )
        tip = poses["link5"] @ [0, 0, TOOL_M, 1]
        np.testing.assert_allclose(tip[:3], scene.data.site("tip").xpos, atol=1e-3)
        np.testing.assert_allclose(tip[:3], forward(positions)[0], atol=1e-3)
        eye, seen = poses["link6"] @ sensor, scene.data.cam("wrist")
        x, y, z = seen.xmat.reshape(3, 3).T  # right, up, back; SDF's camera looks along its x, left is y
        np.testing.assert_allclose(eye[:3, 3], seen.xpos, atol=1e-3)
        np.testing.assert_allclose(eye[:3, :3], np.stack([-z, -x, y], axis=1), atol=1e-3)


@pytest.mark.parametrize("task", ["reach", "push", "pick_place"])
def test_the_cameras_beside_the_table_are_as_in_mujoco(task):
    scene = arm.MujocoArm(task, NO_CAMERAS)
    mujoco.mj_forward(scene.model, scene.data)
    (holder,) = (model for model in world_element(task).iter("model") if model.get("name") == "cameras")
    sensors = {sensor.get("name"): sensor for sensor in holder.iter("sensor")}
    assert sensors.keys() == {"overhead", "side", "scene"}
    for name, sensor in sensors.items():
        eye, seen = transform(sensor), scene.data.cam(name)
        x, y, z = seen.xmat.reshape(3, 3).T  # right, up, back; SDF's camera looks along its x, left is y
        np.testing.assert_allclose(eye[:3, 3], seen.xpos, atol=1e-3)
        np.testing.assert_allclose(eye[:3, :3], np.stack([-z, -x, y], axis=1), atol=1e-3)
        across = float(sensor.findtext("camera/horizontal_fov"))
        assert np.degrees(across) == pytest.approx(scene.model.camera(name).fovy[0], abs=1e-3)


def test_joints_have_mujocos_limits():
    scene = arm.MujocoArm("push", NO_CAMERAS)
    joints = {joint.get("name"): joint for joint in sdf("arm").findall("joint")}
    for name in JOINTS:
        limits = [float(joints[name].findtext(f"axis/limit/{end}")) for end in ("lower", "upper")]
        assert limits == scene.model.joint(name).range.tolist()


def test_the_drive_robot_has_the_same_wheels_and_sensors():
    model, reference = sdf("drive"), drive_model.drive_model()
    links = {link.get("name"): link for link in model.findall("link")}
    for side in ("left", "right"):
        wheel = links[f"{side}_wheel_link"]
        np.testing.assert_allclose(transform(wheel)[:3, 3], reference.body(f"{side}_wheel").pos, atol=1e-3)
        assert float(wheel.findtext("collision/geometry/cylinder/radius")) == WHEEL_RADIUS_M
    assert transform(links["left_wheel_link"])[1, 3] * 2 == pytest.approx(WHEEL_SEPARATION_M)
    sensors = {sensor.get("name"): sensor for sensor in model.iter("sensor")}
    np.testing.assert_allclose(transform(sensors["laser"])[:3, 3], reference.site("laser").pos, atol=1e-3)
    np.testing.assert_allclose(transform(sensors["camera"])[:3, 3], reference.camera("camera").pos, atol=1e-3)
    scan = sensors["laser"].find("ray/scan/horizontal")
    assert int(scan.findtext("samples")) == BEAMS
    ends = [float(scan.findtext(end)) for end in ("min_angle", "max_angle")]
    np.testing.assert_allclose(ends, beam_angles()[[0, -1]], atol=1e-6)
    assert [float(sensors["laser"].findtext(f"ray/range/{end}")) for end in ("min", "max")] == list(RANGE_M)


def test_the_corridor_of_seed_0_has_the_same_pieces():
    reference, corridor = drive_model.drive_model(), random_corridor(np.random.default_rng(0))
    models = {model.get("name"): model for model in world_element("drive").iter("model")}
    for name, place in places(corridor).items():
        numbers = [float(number) for number in models[name].findtext("pose").split()]
        np.testing.assert_allclose(numbers, [place.x_m, place.y_m, 0, 0, 0, place.yaw_rad], atol=1e-3)
        geometry = models[name].find("link/collision/geometry")
        half = reference.geom(name).size  # half sides, or radius and half length
        if (box := geometry.findtext("box/size")) is None:
            cylinder = [float(geometry.findtext(f"cylinder/{part}")) for part in ("radius", "length")]
            np.testing.assert_allclose(cylinder, [half[0], 2 * half[1]])
            assert SIZES_M[name] == (2 * half[0], 0.0)
        else:
            sides = [float(side) for side in box.split()]
            np.testing.assert_allclose(sides, 2 * half)
            assert list(SIZES_M[name]) == sides[:2]
    start = [float(number) for number in models["drive"].findtext("pose").split()]
    where = [corridor.start.x_m, corridor.start.y_m, WHEEL_RADIUS_M, 0, 0, corridor.start.yaw_rad]
    np.testing.assert_allclose(start, where, atol=1e-3)


def test_a_wide_picture_keeps_the_vertical_field_of_view():
    text = world_text(world_element("push"), Cameras(width=320, height=240), 2_500_000)
    cameras = {
        sensor.get("name"): sensor.find("camera") for sensor in ElementTree.fromstring(text).iter("sensor")
    }
    assert cameras["overhead"].findtext("image/width") == "320"
    across = float(cameras["overhead"].findtext("horizontal_fov"))
    assert 2 * math.atan(math.tan(across / 2) * 240 / 320) == pytest.approx(math.radians(45), abs=1e-5)


def test_a_world_for_gazebo_classic_is_complete_and_without_gz_sims_elements():
    text = world_text(world_element("drive"), NO_CAMERAS, 2_564_102)
    assert "<max_step_size>0.002564102</max_step_size>" in text
    assert "model://" not in text
    assert "gz-sim" not in text
    assert 'type="ray"' in text


def test_joints_of_gz_sims_controllers_have_no_damping_in_gazebo_classic():
    joints = {joint.get("name"): joint for joint in world_element("push").iter("joint")}
    assert {joints[name].findtext("axis/dynamics/damping") for name in JOINTS} == {"0"}
    assert float(sdf("arm").findtext("joint[@name='joint1']/axis/dynamics/damping")) > 0
    wheels = [joint for joint in world_element("drive").iter("joint") if joint.get("name").endswith("wheel")]
    assert [wheel.findtext("axis/dynamics/damping") for wheel in wheels] == ["0.002"] * 2


def readers():
    """Return Gazebo's SDF checkers: Classic's (sdformat 9), and sdformat 12."""
    classic, found = process.folder() / "gz", []
    if classic.is_file():
        found.append(str(classic))
    return [*found, "ign"] if shutil.which("ign") else found


@pytest.mark.skipif(not readers(), reason="no .gazebo/gz (make gazebo), no ign (ignition-tools)")
@pytest.mark.parametrize(
    "path", [*sorted(MODELS.glob("*/model.sdf")), *sorted(WORLDS.glob("*.sdf"))], ids=lambda path: path.stem
)
def test_gazebos_own_reader_finds_the_file_valid_and_knows_every_element(path, tmp_path):
    for number, reader in enumerate(readers()):
        home = tmp_path / str(number)
        home.mkdir()
        done = checked(reader, path, home)
        assert "Valid." in done or "Check complete" in done, done
        assert "Error" not in done, done


def test_a_planted_fault_is_found(tmp_path):
    if not readers():
        pytest.skip("no reader of SDF")
    wrong = tmp_path / "wrong.sdf"
    wrong.write_text(
        (MODELS / "arm" / "model.sdf").read_text().replace("<mass>", "<mas>").replace("/mass>", "/mas>")
    )
    assert "Error: mas is no element of SDF" in checked(readers()[0], wrong, tmp_path)


def checked(reader, path, home):
    """Return a checker's output, with an error for each unknown element, which only its log reports."""
    environment = {**os.environ, "SDF_PATH": str(MODELS), "HOME": str(home)}
    done = subprocess.run(
        [reader, "sdf", "-k", str(path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    lines = (done.stdout + done.stderr).splitlines()
    output = "\n".join(line for line in lines if "Library error" not in line)
    log = (home / ".sdformat" / "sdformat.log").read_text()
    unknown = re.findall(r"XML Element\[(\w+)\].* not defined in SDF", log)
    return output + "".join(f"\nError: {name} is no element of SDF" for name in unknown)
