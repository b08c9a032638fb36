"""Chunks of actions: which step is due, and how successive chunks are played."""
