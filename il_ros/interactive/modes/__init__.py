"""The supervisor's interactive modes, and the state that outlives a change of mode."""
