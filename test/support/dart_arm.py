"""The arm's SDF in DART, gz-sim's physics engine, with its position controllers. Needs `pip install dartpy`.

Built like gz-physics (dartsim's SDFFeatures.cc): damping of each joint, limits of position, speed and force,
no gravity where the link disables it. Driven like gz-sim (JointPositionController.cc): in every step a PID of
the error gives the joint's force. The arm has no contacts.
"""

from xml.etree import ElementTree

import numpy as np

from il_ros.core import share
from il_ros.sim.gz.arm import NAMES

STEP_S = 0.0025


class DartArm:
    """The arm of models/ with a world's gains; `change` edits {joint: (p, d, damping)} before it is built."""

    def __init__(self, dart, world, change=lambda gains: gains):
        root = ElementTree.parse(share.path("worlds", f"{world}.sdf")).getroot()
        assert float(root.findtext("world/physics/max_step_size")) == STEP_S
        model = ElementTree.parse(share.path("models", "arm", "model.sdf")).getroot().find("model")
        joints = {joint.get("name"): joint for joint in model.findall("joint")}
        plugins = {plugin.findtext("joint_name"): plugin for plugin in controllers(root)}
        gains = change(
            {
                name: (
                    number(plugins[name], "p_gain"),
                    number(plugins[name], "d_gain"),
                    number(joints[name], "axis/dynamics/damping"),
                )
                for name in NAMES
            }
        )
        self.gains = np.array([gains[name][:2] for name in NAMES])
        self.most = np.array([number(plugins[name], "cmd_max") for name in NAMES])
        links = {link.get("name"): link for link in model.findall("link")}
        skeleton = dart.dynamics.Skeleton()
        bodies = {"base": skeleton.createWeldJointAndBodyNodePair()[1]}
        for name in NAMES:
            joint = joints[name]
            parent, child = joint.findtext("parent"), joint.findtext("child")
            turns = joint.get("type") == "revolute"
            make = "createRevoluteJointAndBodyNodePair" if turns else "createPrismaticJointAndBodyNodePair"
            made, body = getattr(skeleton, make)(bodies[parent])
            bodies[child] = body
            place = np.eye(4)  # upright at zero: no link is turned
            place[:3, 3] = vector(links[child], "pose")[:3] - vector(links[parent], "pose")[:3]
            made.setTransformFromParentBodyNode(dart.math.Isometry3(place))
            made.setAxis(vector(joint, "axis/xyz"))
            dof = skeleton.getDof(skeleton.getNumDofs() - 1)
            dof.setDampingCoefficient(gains[name][2])
            dof.setPositionLimits(*(number(joint, f"axis/limit/{end}") for end in ("lower", "upper")))
            for limit, most in (("Velocity", "velocity"), ("Force", "effort")):
                value = number(joint, f"axis/limit/{most}")
                getattr(dof, f"set{limit}Limits")(-value, value)
            made.setLimitEnforcement(True)
            weigh(dart, body, links[child])
        self.skeleton, self.world = skeleton, dart.simulation.World()
        self.world.setTimeStep(STEP_S)
        self.world.addSkeleton(skeleton)

    def put(self, position):
        """Reset to rest with the joints (8,) at `position`."""
        self.skeleton.setPositions(position)
        self.skeleton.setVelocities(np.zeros(len(NAMES)))
        self._error = np.zeros(len(NAMES))  # a reset PID

    def drive(self, targets, steps):
        """Drive the joints (8,) to `targets`; return positions and speeds, each (steps, 8)."""
        positions, speeds = [], []
        for _ in range(steps):
            error = self.skeleton.getPositions() - targets
            force = -self.gains[:, 0] * error - self.gains[:, 1] * (error - self._error) / STEP_S
            self._error = error
            self.skeleton.setForces(np.clip(force, -self.most, self.most))
            self.world.step()
            positions.append(self.skeleton.getPositions())
            speeds.append(self.skeleton.getVelocities())
        return np.array(positions), np.array(speeds)


def controllers(root):
    """Return the joint position controllers of a world."""
    kind = "gz::sim::systems::JointPositionController"
    return [plugin for plugin in root.iter("plugin") if plugin.get("name") == kind]


def number(element, path):
    return float(element.findtext(path))


def vector(element, path):
    return np.array([float(word) for word in (element.findtext(path) or "0 0 0 0 0 0").split()])


def weigh(dart, body, link):
    body.setGravityMode(link.findtext("gravity") != "0")
    inertial = link.find("inertial")
    moments = np.diag([number(inertial, f"inertia/i{axis}{axis}") for axis in "xyz"])
    middle = vector(inertial, "pose")
    assert not middle[3:].any()
    body.setInertia(dart.dynamics.Inertia(number(inertial, "mass"), middle[:3], moments))
