"""The `il-ros` command: the same jobs without ROS."""
