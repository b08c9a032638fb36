"""The demo: the whole loop in simulation, over ROS topics between processes, with a result page."""
