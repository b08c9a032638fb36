"""What is wrong with recorded demonstrations, and how to undo it; see `examination`."""
