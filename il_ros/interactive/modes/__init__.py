"""Who drives at a tick: the supervisor's modes, and what survives a change of mode."""
