"""From a stream of commands to goals of an action server."""

import numpy as np

from il_ros.control.goals import NOT_YET, GoalStream


def stream(**options):
    return GoalStream(**{"least_change": 0.01, "least_s": 0.1, "timeout_s": 0.5, **options})


def goals(each, steps):
    """Return (time, goal) of each goal that a sequence of (time, command) leads to."""
    found = []
    for now_s, values in steps:
        each.command(values, now_s)
        goal = each.due(now_s)
        if goal is not None:
            each.sent(goal, now_s)
            found.append((now_s, *goal))
    return found


def test_a_command_becomes_a_goal_when_it_changed_enough_and_not_too_often():
    steps = [(0.0, [0.0]), (0.05, [0.5]), (0.1, [0.6]), (0.25, [0.605]), (0.3, [0.615])]
    assert goals(stream(), steps) == [(0.0, 0.0), (0.1, 0.6), (0.3, 0.615)]


def test_a_change_of_any_number_is_one():
    steps = [(0.0, [0.0, 1.0]), (1.0, [0.0, 1.009]), (2.0, [0.0, 1.02])]
    assert goals(stream(), steps) == [(0.0, 0.0, 1.0), (2.0, 0.0, 1.02)]


def test_the_last_command_of_a_burst_is_sent_when_it_may_be():
    each = stream()
    assert goals(each, [(0.0, [0.0]), (0.05, [0.5])]) == [(0.0, 0.0)]
    assert each.due(0.09) is None
    np.testing.assert_array_equal(each.due(0.1), [0.5])


def test_before_the_first_command_and_after_a_stop_there_is_no_goal():
    each = stream()
    assert (each.stopped, each.due(0.0)) == (NOT_YET, None)
    assert goals(each, [(1.0, [0.5])]) == [(1.0, 0.5)]
    each.stop("emergency stop", 2.0)
    assert (each.stopped, each.due(9.0)) == ("emergency stop", None)


def test_after_a_stop_the_same_command_is_a_goal_again():
    """The server cancelled the first one."""
    each = stream()
    assert goals(each, [(1.0, [0.5])]) == [(1.0, 0.5)]
    each.stop("nobody drives", 2.0)
    assert goals(each, [(3.0, [0.5])]) == [(3.0, 0.5)]
    assert each.stopped == ""


def test_a_silent_supervisor_stops_the_robot():
    each = stream()
    goals(each, [(1.0, [0.5])])
    each.look(1.5)
    assert each.stopped == ""
    each.look(1.75)
    assert each.stopped == "no decision of the supervisor for 0.75 s"
    assert each.due(9.0) is None
    assert goals(each, [(2.0, [0.5])]) == [(2.0, 0.5)]


def test_a_goal_that_was_refused_is_sent_again():
    each = stream()
    goals(each, [(1.0, [0.5])])
    assert each.due(2.0) is None
    each.refused()
    assert each.due(1.05) is None
    np.testing.assert_array_equal(each.due(1.1), [0.5])
