"""DAgger in one process, with simulated people."""
