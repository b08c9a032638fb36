"""The tasks in gz-sim, observed and commanded over the topics of the ros_gz bridge (config/gz)."""
