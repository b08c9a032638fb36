"""Simulated tasks and their scripted experts: seeded, stepped explicitly, without ROS."""

HELD_OUT_SEED = 1_000_000
"""First seed of evaluation episodes. Demonstrations use seeds from 0, so their starts never coincide."""
