from il_ros.control.supervisor.estop import EmergencyStop

SECOND = 1_000_000_000


def test_it_latches_once_and_stays():
    estop = EmergencyStop()
    assert estop.hear("topic", True, 0) is True
    assert estop.hear("topic", True, 1) is False
    assert estop.hear("topic", False, 2) is False
    assert estop.latched == "emergency stop pressed (topic)"


def test_the_reset_names_what_is_still_pressed():
    estop = EmergencyStop()
    estop.hear("topic", True, 0)
    estop.hear("service", True, 0)
    assert estop.reset(1) == "still pressed: topic, service"
    estop.hear("topic", False, 1)
    estop.hear("service", False, 1)
    assert estop.reset(2) == ""
    assert estop.latched == ""


def test_a_heartbeat_counts_as_pressed_from_the_start_until_it_is_heard():
    estop = EmergencyStop(timeout_s=0.5)
    assert estop.check(0) is True
    assert "never been heard" in estop.latched
    assert "never been heard" in estop.reset(1)
    estop.hear("topic", False, 0)
    assert estop.reset(SECOND // 2) == ""
    assert estop.check(SECOND // 2) is False
    assert estop.check(SECOND) is True
