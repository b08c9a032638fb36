"""`RosEnv`: a Gymnasium environment over topics."""
