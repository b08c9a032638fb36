"""The simulator node on a test's graph, and calls of its services."""

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool, Trigger

from il_ros.core import messages
from il_ros.nodes.sim.node import Sim

TWIST = "geometry_msgs/msg/TwistStamped"
PERIOD_NS = 50_000_000


def started(graph, **parameters):
    """Start a sim without cameras, and wait for its discovery."""
    sim = graph.start(Sim, **({"task": "drive", "cameras": False} | parameters))
    graph.until(lambda: graph.outside.count_publishers("task/success"), "the sim's topics")
    return sim


def command(linear, angular=0.0):
    message = messages.make(TWIST)
    message.twist.linear.x, message.twist.angular.z = linear, angular
    return message


def reset(graph, seed=None):
    if seed is not None:
        set_parameter(graph, "seed", seed)
    response = graph.call("sim/reset", Trigger)
    assert response.success
    return response.message


def pause(graph, yes):
    assert graph.call("sim/pause", SetBool, data=yes).success


def set_parameter(graph, name, value):
    parameters = [Parameter(name, value=value).to_parameter_msg()]
    (result,) = graph.call("sim/set_parameters", SetParameters, parameters=parameters).results
    return result


def status(graph, sim, saying=""):
    """Return the newest diagnostics message that contains `saying`."""
    found = []
    subscription = graph.outside.create_subscription(DiagnosticArray, "/diagnostics", found.append, 10)
    graph.until(lambda: graph.outside.count_publishers("/diagnostics"), "the diagnostics")
    matching = lambda: [report for report in found if saying in report.status[0].message]  # noqa: E731
    graph.until(lambda: (sim.diagnostics.publish(), matching())[1], f"a status saying '{saying}'")
    graph.outside.destroy_subscription(subscription)
    report = matching()[-1].status[0]
    return report.level, report.message, {item.key: item.value for item in report.values}
