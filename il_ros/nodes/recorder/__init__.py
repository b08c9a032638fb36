"""The node `recorder`."""
