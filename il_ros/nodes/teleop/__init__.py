"""The teleoperation nodes: gamepad, keyboard, leader arm."""
