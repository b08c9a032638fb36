"""Agents that maximise what they earn: soft Q-learning, soft actor-critic, and its ways from a clone."""
