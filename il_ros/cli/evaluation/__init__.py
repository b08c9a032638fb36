"""Evaluation of several policies, and comparison of results."""
