"""What the arm does at its table: one module for each task."""
