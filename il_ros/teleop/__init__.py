"""Human hands to targets: joystick, keyboard, leader arm. Pure functions of (input, time); no ROS."""
