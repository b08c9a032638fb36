"""The simulated tasks and what they need of a simulator, without a simulator."""
