"""What the person at the robot touches: keys and buttons, one quiet console, a report at the end."""
