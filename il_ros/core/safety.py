"""The optional section `safety` of a contract: further layers between the limiter and the robot.

It does not belong to the meaning of recorded data: contracts that differ in it are interchangeable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from il_ros.core.specs import JOINT_STATE, WRENCH, ActionSpec, ObservationSpec
from il_ros.core.strict_yaml import Section

STOP, SAFE = "stop", "safe"


@dataclass(frozen=True)
class ContactPart:
    """One threshold: the norm of some numbers of an observation, at `indices`, is at most `most` (N, Nm)."""

    name: str
    indices: tuple[int, ...]
    most: float


@dataclass(frozen=True)
class ContactSpec:
    """The thresholds of one observation."""

    observation: str
    parts: tuple[ContactPart, ...]


@dataclass(frozen=True)
class WorkspaceSpec:
    """A box that the tool does not leave, in the frame `base` ("" is the root link), in metres.

    `description`: the robot's URDF file, relative to the contract's. `tool`: the link whose origin is bounded.
    """

    description: str
    tool: str
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    base: str = ""


@dataclass(frozen=True)
class Safety:
    """The section: contact thresholds, the behaviour on contact (`stop` or `safe`), the workspace."""

    contact: tuple[ContactSpec, ...] = ()
    on_contact: str = STOP
    workspace: WorkspaceSpec | None = None


def read_safety(
    section: Section | None, observations: Mapping[str, ObservationSpec], actions: tuple[ActionSpec, ...]
) -> Safety:
    """Read the section, None when absent; raises YamlError that names the invalid field."""
    if section is None:
        return Safety()
    contact = section.section("contact", required=False)
    found: list[ContactSpec] = []
    for key in contact.keys if contact is not None else ():
        assert contact is not None
        if key not in observations:
            raise contact.error(key, f"is not an observation; there are: {', '.join(observations)}")
        thresholds = contact.section(key)
        assert thresholds is not None
        parts = _contact_parts(observations[key], thresholds)
        thresholds.done()
        if not parts:
            raise contact.error(
                key, "has no threshold: give force and torque of a wrench, or effort of joints"
            )
        found.append(ContactSpec(key, parts))
    if contact is not None:
        contact.done()
    behaviour = section.text("on_contact", STOP, choices=(STOP, SAFE))
    box = section.section("workspace", required=False)
    workspace = None if box is None else _workspace(box, actions)
    section.done()
    return Safety(tuple(found), behaviour, workspace)


def _contact_parts(spec: ObservationSpec, section: Section) -> tuple[ContactPart, ...]:
    parts: list[ContactPart] = []
    if spec.type == WRENCH:
        for name in ("force", "torque"):
            most = section.numbers(name, 1, positive=True)
            if most is None:
                continue
            if name not in spec.fields:
                raise section.error(
                    name, f"'{spec.key}' does not observe it; its fields are {list(spec.fields)}"
                )
            parts.append(ContactPart(name, tuple(spec.places[f"{name}.{axis}"] for axis in "xyz"), most[0]))
        return tuple(parts)
    if spec.type == JOINT_STATE:
        most = section.numbers("effort", len(spec.names), positive=True)
        if most is not None and "effort" not in spec.fields:
            raise section.error(
                "effort", f"'{spec.key}' does not observe it; its fields are {list(spec.fields)}"
            )
        for name, limit in zip(spec.names, most or (), strict=False):
            parts.append(ContactPart(f"effort of {name}", (spec.places[f"effort/{name}"],), limit))
        return tuple(parts)
    raise section.error(
        section.keys[0] if section.keys else "", f"'{spec.key}' is a {spec.type}, not a wrench or joints"
    )


def _workspace(section: Section, actions: tuple[ActionSpec, ...]) -> WorkspaceSpec:
    lower, upper = (section.numbers(name, 3, positive=False) for name in ("lower", "upper"))
    if lower is None or upper is None:
        raise section.error("upper" if lower else "lower", "missing: three numbers, x, y and z in m")
    if not all(low < high for low, high in zip(lower, upper, strict=True)):
        raise section.error("upper", f"{list(upper)} must be above lower, {list(lower)}")
    if not any(action.is_position for action in actions):
        raise section.error("tool", "no action commands joint positions, so the tool cannot be bounded")
    spec = WorkspaceSpec(
        section.text("description"), section.text("tool"), lower, upper, section.text("base", "")
    )
    section.done()
    return spec
