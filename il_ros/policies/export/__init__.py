"""Policies in formats that other programs run."""
