"""Sensor faults: a frozen camera, duplicated and reordered messages, a stopped clock."""

from driven_robot import AHEAD, IMPATIENT, LONG_S, PATIENT, PERIOD_NS, Robot

from il_ros.nodes.runtime.diagnostics import ERROR
from il_ros.records.decision import NOBODY


def test_a_frozen_camera_stops_the_robot_until_it_delivers_new_frames(graph, tmp_path):
    """The server uses the system clock, as on a robot; the messages give the ticks' stamps."""
    robot = Robot(graph, tmp_path, IMPATIENT)
    since_ns = robot.record()  # this tick's frame repeats
    for _ in range(18):
        last = robot.tick(frozen=True)
    # 0.5 s until it counts as frozen, then 0.25 s until the silent policy times out
    assert max(robot.proposed) - since_ns in (10 * PERIOD_NS, 11 * PERIOD_NS)  # joints may overtake a frame
    assert (last.authority, last.sent) == (NOBODY, (0.0,))
    status = robot.server.status()
    assert status.level == ERROR
    assert "camera (camera/image_raw): frozen, the same frame for" in status.message
    robot.graph.until(lambda: robot.tick().sent == AHEAD, "driving on", LONG_S)
    kept = robot.recorded.stop()
    by_tick = dict(zip([each.stamp_ns for each in kept.decisions], kept.account, strict=True))
    frozen = [by_tick[since_ns + k * PERIOD_NS] for k in range(1, 19)]
    seen = sum(policy is not None for _, policy, *_ in frozen)
    assert [policy for _, policy, *_ in frozen] == [AHEAD] * seen + [None] * (18 - seen)
    driven = sum(authority == "policy" for authority, *_ in frozen)
    assert [sent for _, _, _, sent, *_ in frozen] == [AHEAD] * driven + [(0.0,)] * (18 - driven)
    assert driven <= seen + 5  # the policy's time-out
    images = kept.messages["/camera/image_raw"][:18]
    assert len({each.data.tobytes() for each in images}) == 1  # the frozen frames are recorded
    assert kept.stamps("/camera/image_raw")[:18] == [since_ns + k * PERIOD_NS for k in range(1, 19)]
    assert kept.account[-1][:4] == ("policy", AHEAD, None, AHEAD)


def test_a_static_rendered_scene_is_not_a_frozen_camera_in_simulated_time(graph, tmp_path):
    robot = Robot(graph, tmp_path, PATIENT, use_sim_time=True)
    assert {robot.tick(frozen=True).sent for _ in range(30)} == {AHEAD}


def test_duplicated_and_reordered_messages_change_no_answer_and_are_recorded(graph, tmp_path):
    robot = Robot(graph, tmp_path, PATIENT)
    begun, published = robot.record(), []
    for _ in range(20):
        robot.tick()
        stamps = (0, 0, -3, -1)  # this tick again, then older ones
        for back in stamps:
            robot.look(robot.stamp_ns + back * PERIOD_NS)
            robot.feel(robot.stamp_ns + back * PERIOD_NS, position=9.0)
        published += [robot.stamp_ns + back * PERIOD_NS for back in (0, *stamps)]
    robot.tick()
    published.append(robot.stamp_ns)
    kept = robot.recorded.stop()
    wanted = [begun + k * PERIOD_NS for k in range(1, 22)]
    assert list(kept.proposed["policy"]) == wanted
    assert [(each.stamp_ns, each.sent) for each in kept.decisions] == [(stamp, AHEAD) for stamp in wanted]
    assert kept.stamps("/joint_states") == kept.stamps("/camera/image_raw") == published


def test_a_stopped_clock_stops_the_robot_and_the_session_continues_with_the_clock(graph, tmp_path):
    robot = Robot(graph, tmp_path, IMPATIENT, use_sim_time=True)
    begun = robot.record()
    graph.until(lambda: robot.tick().sent == AHEAD, "driving", LONG_S)
    stopped = graph.until(lambda: (d := robot.decisions[-1]).authority == NOBODY and d, "the stop", LONG_S)
    assert stopped.sent == (0.0,)
    assert stopped.sent_ns == robot.stamp_ns  # steady clock: the ROS clock has stopped
    assert "policy silent for" in stopped.reason
    graph.until(lambda: robot.tick().sent == AHEAD, "driving on", LONG_S)
    kept = robot.recorded.stop()
    assert stopped in kept.decisions
    assert kept.account[-1][:4] == ("policy", AHEAD, None, AHEAD)
    ticks = range(begun + PERIOD_NS, robot.stamp_ns + 1, PERIOD_NS)
    assert set(ticks) <= {each.stamp_ns for each in kept.decisions}
    assert kept.stamps("/joint_states") == list(ticks)
