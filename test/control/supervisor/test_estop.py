from il_ros.control.supervisor.estop import EmergencyStop

SECOND = 1_000_000_000


def test_the_stop_latches_once_and_stays_latched():
    estop = EmergencyStop()
    assert estop.update("topic", True, 0) is True
    assert estop.update("topic", True, 1) is False
    assert estop.update("topic", False, 2) is False
    assert estop.latched == "emergency stop pressed (topic)"


def test_the_reset_names_the_inputs_that_are_still_pressed():
    estop = EmergencyStop()
    estop.update("topic", True, 0)
    estop.update("service", True, 0)
    assert estop.reset(1) == "still pressed: topic, service"
    estop.update("topic", False, 1)
    estop.update("service", False, 1)
    assert estop.reset(2) == ""
    assert estop.latched == ""


def test_a_missing_heartbeat_counts_as_pressed_from_the_start():
    estop = EmergencyStop(timeout_s=0.5)
    assert estop.check(0) is True
    assert "never received" in estop.latched
    assert "never received" in estop.reset(1)
    estop.update("topic", False, 0)
    assert estop.reset(SECOND // 2) == ""
    assert estop.check(SECOND // 2) is False
    assert estop.check(SECOND) is True
