"""Rosbag2 bags in MCAP: read, write, recover."""
