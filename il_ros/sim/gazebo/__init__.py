"""The tasks in Gazebo Classic 11, stepped in lockstep by the package's own plugin (gazebo/plugin)."""
