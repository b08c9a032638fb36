"""`il-ros policy`: the trained versions, and their export for other programs."""
