"""The node `conductor`: unattended episodes."""
