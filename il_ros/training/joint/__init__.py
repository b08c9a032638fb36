"""Training of one policy from the episodes of several contracts."""
