"""Arbitration between sources: proposals in, one decision per tick out, as functions of state and time."""
