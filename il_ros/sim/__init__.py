"""Simulated tasks and their scripted experts: seeded, stepped explicitly, without ROS."""

HELD_OUT_SEED = 1_000_000
"""First seed of evaluation episodes. Demonstrations use seeds from 0, so their starts never coincide."""
TEST_SEED = 3_000_000
"""First seed of the episodes by which a training chooses; those of `il-ros evaluate` are others."""
