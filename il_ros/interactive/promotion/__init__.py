"""Promotion of new policy versions: examination, acceptance criteria, roll-back."""
