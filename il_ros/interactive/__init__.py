"""Interactive imitation learning: modes of authority, DAgger in one process, promotion of new policies."""
