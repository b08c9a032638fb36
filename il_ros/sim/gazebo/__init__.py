"""The tasks in a real Gazebo (Classic 11), stepped in lockstep through a plugin of ours: gazebo/plugin."""
