"""The tasks in gz-sim, heard and commanded over the topics that ros_gz's bridge carries (config/gz)."""
