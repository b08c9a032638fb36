"""The node `trainer`."""
