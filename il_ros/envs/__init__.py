"""Gymnasium environments in one process: the simulated tasks as environments, and any environment as a task."""
