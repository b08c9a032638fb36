"""The node `judge`."""
