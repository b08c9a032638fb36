"""The tool's position from a robot's description, by hand and against MuJoCo's kinematics."""

import math

import mujoco
import numpy as np
import pytest

from il_ros.control.limiter.urdf import MOST_BYTES, DescriptionError, parse_chain, read_chain

ELBOW = """
<robot name="elbow">
  <link name="base"/><link name="upper"/><link name="lower"/><link name="tool"/>
  <joint name="shoulder" type="revolute">
    <parent link="base"/><child link="upper"/><origin xyz="0 0 1"/><axis xyz="0 0 1"/>
    <limit lower="-3" upper="3" effort="1" velocity="1"/>
  </joint>
  <joint name="slide" type="prismatic">
    <parent link="upper"/><child link="lower"/><origin xyz="0.5 0 0" rpy="0 1.5707963267948966 0"/><axis xyz="0 0 2"/>
    <limit lower="0" upper="1" effort="1" velocity="1"/>
  </joint>
  <joint name="flange" type="fixed"><parent link="lower"/><child link="tool"/><origin xyz="0 0 0.1"/></joint>
</robot>
"""


def test_a_turn_and_a_slide_by_hand():
    chain = parse_chain(ELBOW, "elbow.urdf", "", "tool")
    assert chain.drivers == ("shoulder", "slide")
    # the slide's z is the upper arm's x: 0.5 + 0.2 + 0.1 m from the axis, at a height of 1 m
    assert chain.tool({"shoulder": 0.0, "slide": 0.2}) == pytest.approx((0.8, 0.0, 1.0))
    assert chain.tool({"shoulder": math.pi / 2, "slide": 0.2}) == pytest.approx((0.0, 0.8, 1.0))
    above = parse_chain(ELBOW, "elbow.urdf", "upper", "tool")
    assert (above.drivers, above.tool({"slide": 0.0})) == (("slide",), pytest.approx((0.6, 0.0, 0.0)))


def test_a_joint_that_mimics_another_one_moves_with_it():
    text = ELBOW.replace(
        '<limit lower="0"', '<mimic joint="shoulder" multiplier="0.5" offset="0.1"/><limit lower="0"'
    )
    chain = parse_chain(text, "elbow.urdf", "", "tool")
    assert chain.drivers == ("shoulder",)
    assert chain.tool({"shoulder": 0.4}) == pytest.approx((0.9 * math.cos(0.4), 0.9 * math.sin(0.4), 1.0))


def random_arm(rng, joints):
    """Return a URDF of joints with random frames, axes and kinds, and the kinds."""
    kinds = [str(rng.choice(["revolute", "continuous", "prismatic", "fixed"])) for _ in range(joints)]
    mass = '<inertial><mass value="1"/><inertia ixx="1" iyy="1" izz="1" ixy="0" ixz="0" iyz="0"/></inertial>'
    whole = '<mujoco><compiler fusestatic="false" balanceinertia="true"/></mujoco>'
    lines = ['<robot name="r">', whole, '<link name="l0"/>']
    for n, kind in enumerate(kinds):
        xyz, rpy, axis = (" ".join(f"{v:.6f}" for v in rng.uniform(-1, 1, 3)) for _ in range(3))
        limit = (
            '<limit lower="-2" upper="2" effort="1" velocity="1"/>'
            if kind in ("revolute", "prismatic")
            else ""
        )
        lines.append(
            f'<link name="l{n + 1}">{mass}</link><joint name="j{n}" type="{kind}"><parent link="l{n}"/>'
            f'<child link="l{n + 1}"/><origin xyz="{xyz}" rpy="{rpy}"/><axis xyz="{axis}"/>{limit}</joint>'
        )
    return "".join([*lines, "</robot>"]), kinds


@pytest.mark.parametrize("seed", range(20))
def test_the_tool_is_where_mujoco_has_it(seed):
    rng = np.random.default_rng(seed)
    text, kinds = random_arm(rng, joints=7)
    model = mujoco.MjModel.from_xml_string(text)
    data = mujoco.MjData(model)
    chain = parse_chain(text, "r.urdf", "", "l7")
    for _ in range(5):
        positions = {f"j{n}": rng.uniform(-1.5, 1.5) for n, kind in enumerate(kinds) if kind != "fixed"}
        for name, value in positions.items():
            data.qpos[model.joint(name).qposadr[0]] = value
        mujoco.mj_kinematics(model, data)
        np.testing.assert_allclose(chain.tool(positions), data.body("l7").xpos, atol=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("<robot", "<robots"), "not XML"),
        (("robot", "model"), "the first element is <model>, not <robot>"),
        (("<robot", '<!DOCTYPE r [<!ENTITY a "b">]><robot'), "a document type or entities"),
        (('xyz="0 0 1"', 'xyz="0 0"'), "joint 'shoulder': xyz is '0 0'; three numbers are needed"),
        (('xyz="0 0 1"', 'xyz="0 0 nan"'), "joint 'shoulder': xyz: 'nan' is not finite"),
        (('xyz="0 0 1"', 'xyz="0 0 1m"'), "joint 'shoulder': xyz: '1m' is not a number"),
        (('<axis xyz="0 0 1"/>', '<axis xyz="0 0 0"/>'), "joint 'shoulder': axis is zero"),
        (('type="revolute"', 'type="floating"'), "joint shoulder: type 'floating' is none of revolute"),
        (('<parent link="base"/>', '<parent link="lower"/>'), "the links form a ring"),
        (('<child link="lower"/>', '<child link="tool"/>'), "link 'tool' has two parents"),
        (('<child link="upper"/>', ""), "joint 'shoulder': name, parent link or child link is missing"),
    ],
)
def test_a_description_that_cannot_be_used_is_named(change, message):
    with pytest.raises(DescriptionError, match=f"elbow.urdf: .*{message}"):
        parse_chain(ELBOW.replace(*change), "elbow.urdf", "", "tool")


def test_unknown_links_and_files_are_named(tmp_path):
    with pytest.raises(
        DescriptionError, match="tool: there is no link 'hand'; there are: base, upper, lower, tool"
    ):
        parse_chain(ELBOW, "elbow.urdf", "", "hand")
    with pytest.raises(DescriptionError, match="'tool' is not above 'upper'"):
        parse_chain(ELBOW, "elbow.urdf", "tool", "upper")
    with pytest.raises(DescriptionError, match="cannot read the robot's description"):
        read_chain(tmp_path / "none.urdf", "", "tool")
    (tmp_path / "large.urdf").write_bytes(b" " * (MOST_BYTES + 1))
    with pytest.raises(DescriptionError, match="at most 8388608 are read"):
        read_chain(tmp_path / "large.urdf", "", "tool")
    (tmp_path / "arm.urdf").write_text(ELBOW)
    assert read_chain(tmp_path / "arm.urdf", "base", "tool").drivers == ("shoulder", "slide")
