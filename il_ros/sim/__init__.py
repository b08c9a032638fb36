"""Tasks to learn, in the embedded MuJoCo physics: no ROS, seeded, stepped by whoever holds the clock."""
