"""Find what is intact in a damaged bag, copy it, and restore what describes it."""
