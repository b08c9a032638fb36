"""Reward models that are learnt from episodes alone, and what they say about episodes."""
