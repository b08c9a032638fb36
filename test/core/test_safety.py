"""The section `safety` of a contract."""

import pytest

from il_ros.core import contract
from il_ros.core.contract import ContractError
from il_ros.core.contract_differences import differences
from il_ros.core.safety import SAFE, STOP, ContactPart, Safety, WorkspaceSpec

TEXT = """
name: touching
rate_hz: 20
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, names: [a, b], fields: [position, effort],
           max_age_s: 0.2}
  wrench: {topic: wrench, type: geometry_msgs/msg/WrenchStamped, fields: [force], max_age_s: 0.2}
  tcp: {topic: tcp, type: geometry_msgs/msg/PoseStamped, max_age_s: 0.2}
actions:
  arm: {topic: arm, type: std_msgs/msg/Float64MultiArray, names: [a, b], reference: joints, limits: {speed: 1.0}}
"""
BOX = "  workspace: {description: arm.urdf, tool: tip, lower: [-1, -1, 0], upper: [1, 1, 0.5]}\n"
CONTACT = "  contact: {wrench: {force: 30}, joints: {effort: [5, 7]}}\n"


def test_the_section_is_read_and_is_no_part_of_the_meaning():
    plain, full = (
        contract.parse(text, "c") for text in (TEXT, f"{TEXT}safety:\n{CONTACT}{BOX}  on_contact: safe\n")
    )
    assert plain.safety == Safety()
    wrench, joints = full.safety.contact
    assert wrench.parts == (ContactPart("force", (0, 1, 2), 30.0),)
    # position a, b, effort a, b
    assert joints.parts == (ContactPart("effort of a", (2,), 5.0), ContactPart("effort of b", (3,), 7.0))
    assert full.safety.workspace == WorkspaceSpec("arm.urdf", "tip", (-1, -1, 0), (1, 1, 0.5))
    assert (plain.safety.on_contact, full.safety.on_contact) == (STOP, SAFE)
    assert (full.hash, differences(plain, full)) == (plain.hash, [])  # recorded data stay usable


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (
            "  contact: {force: {force: 3}}",
            "safety.contact.force: is not an observation; there are: joints, wrench, tcp",
        ),
        ("  contact: {wrench: {}}", "safety.contact.wrench: has no threshold"),
        ("  contact: {wrench: {torque: 3}}", "safety.contact.wrench.torque: 'wrench' does not observe it"),
        ("  contact: {wrench: {force: -3}}", "safety.contact.wrench.force: must be above 0"),
        ("  contact: {wrench: {froce: 3}}", "safety.contact.wrench.froce: unknown key; did you mean 'force'"),
        ("  contact: {joints: {effort: [1, 2, 3]}}", "effort: has 3 values; needed: 2"),
        ("  contact: {tcp: {force: 3}}", "'tcp' is a geometry_msgs/msg/PoseStamped, not a wrench or joints"),
        ("  on_contact: retreat", "safety.on_contact: 'retreat' is not known; one of: stop, safe"),
        (
            "  workspace: {description: a, tool: t, lower: [0, 0, 0]}",
            "safety.workspace.upper: missing: three numbers",
        ),
        (BOX.replace("0.5]", "-1]"), "safety.workspace.upper: .* must be above lower"),
        (BOX.replace("tool: tip, ", ""), "safety.workspace.tool: missing"),
        ("  workspce: {}", "safety.workspce: unknown key; did you mean 'workspace'"),
    ],
)
def test_what_is_wrong_is_named(section, message):
    with pytest.raises(ContractError, match=f"c:\\d+: .*{message}"):
        contract.parse(f"{TEXT}safety:\n{section}\n", "c")
