"""Policies: the protocol, the network families, normalisation, and checkpoints without executable code."""
