"""Read, write and recover rosbag2 bags in MCAP."""
