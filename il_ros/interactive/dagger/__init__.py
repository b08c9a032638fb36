"""DAgger in one process, with a simulated human."""
