"""Processes: those of the nodes, how several start together, and what ends them."""
