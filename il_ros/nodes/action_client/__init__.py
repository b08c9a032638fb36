"""The node that forwards commands to an action server."""
