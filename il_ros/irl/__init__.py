"""Rewards learnt from demonstrations: maximum-entropy inverse reinforcement learning, exact and tabular."""
