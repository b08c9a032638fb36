"""Policies from rewards: off-policy adversarial imitation, for several seeds at once."""
