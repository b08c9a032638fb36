"""Two planar arms in MuJoCo under one contract with a group for each, in lockstep with real nodes.

A person has two leader arms. Both arms of the robot answer their position commands as a servo does: with a lag.
"""

import mujoco
import numpy as np
from made_versions import constant_policy
from recorded import Recorded
from std_srvs.srv import SetBool, Trigger

from il_ros.core import contract, messages
from il_ros.episodes import layout
from il_ros.nodes.policy_server.node import PolicyServer
from il_ros.nodes.supervisor.node import DaggerSupervisor
from il_ros.nodes.teleop.leader_node import TeleopLeader
from il_ros.policies import checkpoint
from il_ros.records.decision import from_json

CLOCK, JOINTS, STRING = "rosgraph_msgs/msg/Clock", "sensor_msgs/msg/JointState", "std_msgs/msg/String"
ARRAY = "std_msgs/msg/Float64MultiArray"
NAMES = ("left_shoulder", "left_elbow", "right_shoulder", "right_elbow")
LEADERS = ("leader_left_shoulder", "leader_left_elbow", "leader_right_shoulder", "leader_right_elbow")
PERIOD_NS = 50_000_000
SPEED = 0.5  # rad/s, of the contract
STEP = SPEED * 0.05  # rad in a tick
PATIENT_S = 30.0  # nothing may time out on a busy machine
TEXT = """
name: two_arms
rate_hz: 20
trigger: joint_states
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, unit: rad, max_age_s: 0.1,
           names: [left_shoulder, left_elbow, right_shoulder, right_elbow]}
actions:
  left_arm: {topic: left/commands, type: std_msgs/msg/Float64MultiArray, names: [left_shoulder, left_elbow],
             unit: rad, reference: joints, limits: {lower: -2.0, upper: 2.0, speed: 0.5}}
  right_arm: {topic: right/commands, type: std_msgs/msg/Float64MultiArray, names: [right_shoulder, right_elbow],
              unit: rad, reference: joints, limits: {lower: -2.0, upper: 2.0, speed: 0.5}}
groups:
  left: [left_arm]
  right: [right_arm]
"""
_ARM = """
<body name="{0}" pos="{1} 0 0">
  <joint name="{0}_shoulder" axis="0 0 1" damping="1"/>
  <geom type="capsule" fromto="0 0 0 0 0.3 0" size="0.02" mass="0.4"/>
  <body name="{0}_forearm" pos="0 0.3 0">
    <joint name="{0}_elbow" axis="0 0 1" damping="1"/>
    <geom type="capsule" fromto="0 0 0 0 0.25 0" size="0.02" mass="0.3"/>
  </body>
</body>"""
MODEL = f"""
<mujoco>
  <option timestep="0.005" gravity="0 0 -9.81"><flag contact="disable"/></option>
  <worldbody>{_ARM.format("left", -0.3)}{_ARM.format("right", 0.3)}</worldbody>
  <actuator>{"".join(f'<position joint="{name}" kp="20"/>' for name in NAMES)}</actuator>
</mujoco>"""


class TwoArms:
    """Each `tick` publishes the joints, waits for the decision on them, and applies the commands for a period.

    `answer` (4,): the constant target of the policy, or a function that makes the policy under the contract.
    `leader` (4,): where the person holds the leader arms. `options`: of the supervisor.
    """

    def __init__(self, graph, folder, answer, mode="hg_dagger", **options):
        self.graph, self.stamp_ns = graph, 1_000_000_000
        (folder / "contract.yaml").write_text(TEXT)
        file, clocked = str(folder / "contract.yaml"), {"use_sim_time": True}
        self.contract = own = contract.load(file)
        self.model = mujoco.MjModel.from_xml_string(MODEL)
        self.data = mujoco.MjData(self.model)
        self.leader = np.zeros(4)
        self.measured = {}
        """The positions of the joints (4,) at each tick."""
        policy = answer(own) if callable(answer) else constant_policy(own, answer, "v1")
        checkpoint.save(folder / "checkpoint", policy)
        graph.start(PolicyServer, checkpoint=str(folder / "checkpoint"), **clocked)
        self.teleop = graph.start(
            TeleopLeader, contract=file, timeout=PATIENT_S, max_difference=10.0, **clocked,
            joints=[f"{name} {joint}" for name, joint in zip(own.action_names, LEADERS, strict=True)],
        )  # fmt: skip
        patient = {
            f"{name}__{what}": PATIENT_S
            for name in ("policy", "expert")
            for what in ("timeout_s", "max_age_s")
        }
        self.supervisor = graph.start(
            DaggerSupervisor, contract=file, mode=mode, silence_s=PATIENT_S, discovery_s=0.1, **patient,
            **clocked, **options,
        )  # fmt: skip
        self.recorded = Recorded(graph, file, folder / "episodes", **clocked)
        self._clock = graph.publisher("/clock", CLOCK)
        self._joints = graph.publisher("joint_states", JOINTS)
        self._leader = graph.publisher("leader/joint_states", JOINTS)
        self._commands = {side: graph.received(f"{side}/commands", ARRAY) for side in ("left", "right")}
        self._texts = graph.received("dagger_supervisor/decision", STRING)
        self._decoded = []
        graph.until(lambda: self._clock.count() == 4, "subscriptions of /clock")
        graph.until(self._leader.count, "the subscription of the leader's joints")
        graph.until(self._begun, "the policy drives")
        graph.in_line(self._joints)

    @property
    def decisions(self):
        self._decoded += [from_json(message.data) for message in self._texts[len(self._decoded) :]]
        return self._decoded

    def _begun(self):
        """Publish without waiting: at first a subscription may have another QoS than its publisher."""
        self._publish()
        self.graph.spin(0.05)
        return self._texts and self.decisions[-1].authority == "policy"

    def _publish(self):
        self.stamp_ns += PERIOD_NS
        sec, nanosec = divmod(self.stamp_ns, 10**9)
        time = messages.make("builtin_interfaces/msg/Time", sec=sec, nanosec=nanosec)
        self._clock(messages.make(CLOCK, clock=time))
        self.measured[self.stamp_ns] = self.data.qpos.copy()
        head = messages.header(self.stamp_ns)
        self._leader(messages.make(JOINTS, header=head, name=list(LEADERS), position=self.leader.copy()))
        self._joints(messages.make(JOINTS, header=head, name=list(NAMES), position=self.data.qpos.copy()))

    def tick(self):
        """Return the decision of the next tick, after its commands have acted for a control period."""
        self._publish()
        self.graph.until(lambda: self.decisions[-1].stamp_ns >= self.stamp_ns, "its decision")
        for side, first in (("left", 0), ("right", 2)):
            self.data.ctrl[first : first + 2] = self._commands[side][-1].data
        mujoco.mj_step(self.model, self.data, 10)
        return self.decisions[-1]

    def ticks(self, count):
        return [self.tick() for _ in range(count)]

    def enable(self, name, engage):
        """Engage or release the leader by one of its services, and let the supervisor notice."""
        answer = self.graph.call(f"expert/{name}", SetBool, data=engage)
        assert answer.success, answer.message
        self.graph.settle()

    def place(self):
        """Begin an episode: the arms are at their zero positions, at rest."""
        mujoco.mj_resetData(self.model, self.data)
        answer = self.graph.call("dagger_supervisor/restart", Trigger)
        assert answer.success, answer.message
        self.graph.settle()

    def record(self):
        """Record from the next tick on."""
        self.recorded.start()

    def keep(self):
        """End the episode; return its folder."""
        self.graph.settle()
        answer = self.graph.call("recorder/stop", Trigger)
        assert answer.success, answer.message
        self.graph.until(lambda: layout.load_info(self.recorded.folder).complete, "the episode on the disk")
        return self.recorded.folder
