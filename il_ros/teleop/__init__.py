"""Teleoperation: converts joystick, keyboard and leader-arm inputs to targets. Pure functions; no ROS."""
