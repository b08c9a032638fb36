"""The node `session`: the console for one person."""
