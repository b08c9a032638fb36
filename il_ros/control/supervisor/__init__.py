"""Who has authority: proposals in, one decision per tick out. Pure functions of state and time."""
