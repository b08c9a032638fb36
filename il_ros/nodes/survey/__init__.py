"""Looks at the running graph for commands: `look`."""
