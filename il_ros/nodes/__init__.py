"""The ROS shell: parameters in, messages to arrays, call the core, arrays to messages."""
