"""The policy networks and their registry."""
