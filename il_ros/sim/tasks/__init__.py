"""The simulated tasks, and the scene protocols that a simulator implements for them."""
