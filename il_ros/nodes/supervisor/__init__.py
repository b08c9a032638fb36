"""The node `dagger_supervisor`."""
