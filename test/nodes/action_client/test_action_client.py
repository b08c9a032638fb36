"""Commands become goals of real action servers: of a gripper, and of a trajectory controller."""

import built_messages
import control_definitions
import numpy as np
import pytest
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.task import Future
from security_policy import forbidden
from std_srvs.srv import SetBool, Trigger
from supervised import PATIENT_S

from il_ros.core import contract, messages
from il_ros.nodes.action_client.node import ActionClientNode
from il_ros.nodes.runtime.diagnostics import ERROR, OK, WARN
from il_ros.nodes.supervisor.node import DaggerSupervisor
from il_ros.records import proposal
from il_ros.records.decision import NOBODY, Decision, GroupDecision, joined_authority, to_json

pytestmark = pytest.mark.skipif(bool(built_messages.REASON), reason=built_messages.REASON or "-")

JOINTS, STRING = "sensor_msgs/msg/JointState", "std_msgs/msg/String"
TEXT = """\
name: arm_with_gripper
rate_hz: 20
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, names: [shoulder, width], max_age_s: 60.0}
actions:
  arm:
    topic: arm/commands
    type: trajectory_msgs/msg/JointTrajectory
    names: [shoulder]
    reference: joints
    limits: {lower: -1.0, upper: 1.0, speed: 100.0}
  gripper:
    topic: gripper/command
    type: std_msgs/msg/Float64
    names: [width]
    reference: joints
    limits: {lower: 0.0, upper: 0.1, speed: 100.0}
  base:
    topic: cmd_vel
    type: geometry_msgs/msg/Twist
    names: [linear.x]
    limits: {speed: 1.0}
"""


@pytest.fixture(scope="module", autouse=True)
def _workspace():
    uses = ("geometry_msgs", "sensor_msgs", "trajectory_msgs")
    prefix = built_messages.built("control_msgs", control_definitions.ACTIONS, uses)
    with pytest.MonkeyPatch.context() as patch:
        built_messages.source(patch, prefix)
        yield


class Server:
    """An action server whose goal is under way until it is cancelled or the next one arrives, as in ros2_control."""

    def __init__(self, graph, kind, name):
        self.goals, self.cancelled, self.accepting = [], 0, True
        self._kind, self._executor = kind, graph.executor
        self._handle = self._ended = None
        self._server = ActionServer(
            graph.outside,
            kind,
            name,
            execute_callback=self._execute,
            goal_callback=self._on_goal,
            handle_accepted_callback=self._on_accepted,
            cancel_callback=self._on_cancel,
        )

    def _on_goal(self, goal):
        self.goals.append(goal)
        return GoalResponse.ACCEPT if self.accepting else GoalResponse.REJECT

    def _on_accepted(self, handle):
        self._end()
        self._handle, self._ended = handle, Future(executor=self._executor)
        handle.execute()

    async def _execute(self, handle):
        await self._ended
        if handle.is_cancel_requested:
            handle.canceled()
        else:
            handle.abort()
        return self._kind.Result()

    def _on_cancel(self, handle):
        self.cancelled += 1
        self._end()
        return CancelResponse.ACCEPT

    def _end(self):
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    def say(self, **feedback):
        self._handle.publish_feedback(self._kind.Feedback(**feedback))

    def close(self):
        self._end()
        self._executor.spin_once(0.1)
        self._server.destroy()


class Rig:
    """A supervisor with an expert, and a node that forwards the commands of one of its actions."""

    def __init__(self, graph, folder, text=TEXT, **parameters):
        self.graph, self.folder = graph, folder
        (folder / "contract.yaml").write_text(text)
        self.contract = contract.load(folder / "contract.yaml")
        given = {"contract": str(folder / "contract.yaml")}
        patient = {
            f"{name}__{what}": PATIENT_S
            for name in ("policy", "expert")
            for what in ("timeout_s", "max_age_s")
        }
        self.supervisor = graph.start(DaggerSupervisor, mode="expert", discovery_s=0.1, **patient, **given)
        self.client = graph.start(
            ActionClientNode, **{"timeout_s": PATIENT_S, "least_s": 0.01, **given, **parameters}
        )
        self._joints = graph.publisher("joint_states", JOINTS)
        self._expert = graph.publisher("expert/proposal", proposal.TYPE)
        graph.in_line(self._joints)
        graph.until(self._expert.count, "the supervisor's subscription")

    def command(self, *values, until, groups=()):
        """Propose (shoulder, width, linear.x) for some action groups again and again until a condition holds."""

        def propose():
            now = self.graph.outside.get_clock().now().nanoseconds
            state = {"name": ["shoulder", "width"], "position": np.zeros(2)}
            self._joints(messages.make(JOINTS, header=messages.header(now), **state))
            own, proposed = self.contract, proposal.Proposal("expert", now, np.array([values]), groups=groups)
            self._expert(proposal.to_message(proposed, own.action_names, own.period_ns, own.groups))
            self.graph.spin(0.05)
            return until()

        return self.graph.until(propose, f"the effect of {values}")

    def estop(self, active):
        assert self.graph.call("dagger_supervisor/estop", SetBool, data=active).success


@pytest.fixture
def gripper(graph):
    from control_msgs.action import GripperCommand

    server = Server(graph, GripperCommand, "gripper/gripper_cmd")
    yield server
    server.close()


GRIPPER = {"action": "gripper", "server": "gripper/gripper_cmd", "max_effort": 20.0}


def test_commands_of_the_supervisor_are_goals_of_the_gripper(graph, tmp_path, gripper):
    rig = Rig(graph, tmp_path, **GRIPPER)
    rig.command(0.0, 0.08, 0.0, until=lambda: gripper.goals and gripper.goals[-1].command.position == 0.08)
    assert gripper.goals[-1].command.max_effort == 20.0
    count = len(gripper.goals)
    arm = graph.received("arm/commands", "trajectory_msgs/msg/JointTrajectory")
    rig.command(0.3, 0.08, 0.1, until=lambda: arm and arm[-1].points[0].positions[0] == 0.3)
    graph.settle()
    assert len(gripper.goals) == count, "the arm's commands are no goals of the gripper"
    graph.until(lambda: rig.client.status().level == OK, "the goal accepted")
    gripper.say(position=0.04, effort=3.0, stalled=False, reached_goal=False)
    graph.until(lambda: rig.client.status().values.get("position") == 0.04, "the feedback")
    rig.command(0.3, 0.02, 0.1, until=lambda: gripper.goals[-1].command.position == 0.02)
    assert gripper.cancelled == 0


def test_an_emergency_stop_cancels_the_goal_and_sends_none_until_it_is_released(graph, tmp_path, gripper):
    rig = Rig(graph, tmp_path, **GRIPPER)
    rig.command(0.0, 0.08, 0.0, until=lambda: gripper.goals and gripper.goals[-1].command.position == 0.08)
    graph.until(lambda: rig.client._handle is not None, "the goal accepted")
    rig.estop(True)
    graph.until(lambda: gripper.cancelled == 1, "the cancellation")
    graph.until(lambda: rig.client.status().values["last goal"] == "cancelled", "its end")
    status = rig.client.status()
    assert status.level == WARN
    assert status.message.startswith("no goals: ")
    count = len(gripper.goals)
    rig.command(0.0, 0.05, 0.0, until=lambda: rig.supervisor._supervision.estop.latched)
    graph.spin(0.3)
    assert len(gripper.goals) == count
    rig.estop(False)
    assert graph.call("dagger_supervisor/reset_estop", Trigger).success
    rig.command(0.0, 0.05, 0.0, until=lambda: gripper.goals[-1].command.position == 0.05)


def test_the_goal_is_cancelled_when_no_source_drives_the_group_of_its_action(graph, tmp_path, gripper):
    text = TEXT + "groups: {arm: [arm, base], hand: [gripper]}\n"
    rig = Rig(graph, tmp_path, text, **GRIPPER)
    rig.command(0.0, 0.08, 0.0, until=lambda: rig.client._handle is not None)
    release = proposal.releasing("expert", graph.outside.get_clock().now().nanoseconds, 3, ("hand",))
    own = rig.contract
    rig._expert(proposal.to_message(release, own.action_names, own.period_ns, own.groups))
    rig.command(0.3, np.nan, 0.0, groups=("arm",), until=lambda: gripper.cancelled == 1)
    assert rig.supervisor._supervision.authorities == {"arm": "expert", "hand": "none"}


def test_a_supervisor_that_falls_silent_has_its_goal_cancelled(graph, tmp_path, gripper):
    rig = Rig(graph, tmp_path, timeout_s=1.0, **GRIPPER)
    rig.command(0.0, 0.08, 0.0, until=lambda: rig.client._handle is not None)
    rig.supervisor.trigger_deactivate()
    graph.until(lambda: gripper.cancelled == 1, "the cancellation")


def test_a_node_that_is_deactivated_cancels_its_goal(graph, tmp_path, gripper):
    rig = Rig(graph, tmp_path, **GRIPPER)
    rig.command(0.0, 0.08, 0.0, until=lambda: rig.client._handle is not None)
    rig.client.trigger_deactivate()
    graph.until(lambda: gripper.cancelled == 1, "the cancellation")
    rig.client.trigger_activate()
    count = len(gripper.goals)
    rig.command(0.0, 0.08, 0.0, until=lambda: len(gripper.goals) > count)


def test_a_server_that_refuses_is_asked_again_and_told(graph, tmp_path, gripper):
    gripper.accepting = False
    rig = Rig(graph, tmp_path, **GRIPPER)
    rig.command(0.0, 0.08, 0.0, until=lambda: len(gripper.goals) >= 3)
    graph.until(
        lambda: rig.client.status().message == "gripper/gripper_cmd refused the last goal", "the report"
    )
    gripper.accepting = True
    rig.command(0.0, 0.08, 0.0, until=lambda: rig.client.status().level == OK)


def test_a_missing_server_is_an_error_of_the_diagnostics(graph, tmp_path):
    rig = Rig(graph, tmp_path, **GRIPPER)
    rig.command(0.0, 0.08, 0.0, until=lambda: not rig.client._stream.stopped)
    status = rig.client.status()
    assert status.level == ERROR
    assert status.message == (
        "there is no action server gripper/gripper_cmd (control_msgs/action/GripperCommand)"
    )


def test_a_trajectory_controller_gets_a_point_by_joint_names(graph, tmp_path):
    from control_msgs.action import FollowJointTrajectory

    server = Server(graph, FollowJointTrajectory, "arm/follow_joint_trajectory")
    rig = Rig(
        graph, tmp_path, action="arm", kind="follow_joint_trajectory", server="arm/follow_joint_trajectory",
        within_s=0.25,
    )  # fmt: skip
    rig.command(
        0.5,
        0.0,
        0.0,
        until=lambda: server.goals and server.goals[-1].trajectory.points[0].positions[0] == 0.5,
    )
    trajectory = server.goals[-1].trajectory
    (point,) = trajectory.points
    assert list(trajectory.joint_names) == ["shoulder"]
    assert (point.time_from_start.sec, point.time_from_start.nanosec) == (0, 250_000_000)
    server.close()


def test_a_parallel_gripper_gets_a_joint_state(graph, tmp_path):
    from control_msgs.action import ParallelGripperCommand

    server = Server(graph, ParallelGripperCommand, "gripper/command")
    rig = Rig(
        graph,
        tmp_path,
        action="gripper",
        kind="parallel_gripper_command",
        server="gripper/command",
        max_effort=5.0,
    )
    rig.command(0.0, 0.05, 0.0, until=lambda: server.goals and server.goals[-1].command.position[0] == 0.05)
    command = server.goals[-1].command
    assert (list(command.name), list(command.effort)) == (["width"], [5.0])
    server.close()


def test_the_authority_is_that_of_the_actions_own_group(graph, tmp_path, gripper):
    """The expert keeps the arm, and nobody has the gripper: its goal is cancelled."""
    (tmp_path / "contract.yaml").write_text(TEXT + "groups: {arm: [arm, base], hand: [gripper]}\n")
    client = graph.start(
        ActionClientNode,
        **GRIPPER,
        contract=str(tmp_path / "contract.yaml"),
        timeout_s=PATIENT_S,
        least_s=0.01,
    )
    publish = graph.publisher("dagger_supervisor/decision", STRING)
    graph.until(publish.count, "the subscription")

    def decide(hand, width):
        groups = {
            "arm": GroupDecision((0, 2), "expert", "why"),
            "hand": GroupDecision((1,), hand, f"{hand} has it"),
        }
        whole = joined_authority(part.authority for part in groups.values())
        made = Decision(5, 6, whole, "why", sent=(0.1, width, 0.0), generation=1, groups=groups)
        publish(messages.make(STRING, data=to_json(made)))

    graph.until(lambda: decide("policy", 0.08) or graph.spin(0.02) or client._handle is not None, "a goal")
    assert gripper.goals[-1].command.position == 0.08
    decide(NOBODY, 0.08)
    graph.until(lambda: gripper.cancelled == 1, "the cancellation")
    assert client.status().message == "no goals: none has it"
    count = len(gripper.goals)
    decide("policy", float("nan"))
    graph.settle()
    assert len(gripper.goals) == count


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        (
            {"action": "hand"},
            "parameter action is 'hand': contract 'arm_with_gripper' has no 'hand'; it has: arm",
        ),
        (
            {"action": "base"},
            "action 'base' commands velocities; control_msgs/action/GripperCommand takes positions",
        ),
        ({"server": ""}, "parameter server is empty"),
    ],
)
def test_what_cannot_be_forwarded_is_refused(graph, tmp_path, caplog, parameters, said):
    (tmp_path / "contract.yaml").write_text(TEXT)
    given = {**GRIPPER, "contract": str(tmp_path / "contract.yaml"), **parameters}
    node = graph.start(ActionClientNode, **given)
    assert node.state == "unconfigured"
    assert said in node._last_error[1]


def test_the_security_policy_allows_the_client_what_it_does(graph, tmp_path):
    (tmp_path / "contract.yaml").write_text(TEXT)
    node = graph.start(
        lambda **given: ActionClientNode("gripper_client", **given), contract=str(tmp_path / "contract.yaml"),
        action="gripper", kind="gripper_command", server="gripper_controller/gripper_cmd",
    )  # fmt: skip
    assert node.state == "active"
    assert forbidden(graph, node) == {}
    called = {name for name, _ in node.get_client_names_and_types_by_node("gripper_client", "/")}
    assert "/gripper_controller/gripper_cmd/_action/send_goal" in called
