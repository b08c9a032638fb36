"""Teaching while the robot runs: who drives, when to ask, and what is learnt from it."""
