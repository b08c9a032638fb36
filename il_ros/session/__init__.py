"""An operator's session: keys and buttons, the console, relabelling of recorded moments, and the report."""
