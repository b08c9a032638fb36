"""On-robot imitation learning for ROS 2: show, record, train, run, correct."""
