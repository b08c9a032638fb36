"""The files that a bag consists of: MCAP or SQLite, compressed or not."""
