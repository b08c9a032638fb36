"""Policies: one protocol, encoders and heads, a file per family, and checkpoints that are data, not code."""
