"""Policies from rewards, with own steps or recorded ones, for several seeds at once."""
