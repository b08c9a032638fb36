"""Record episodes: options, stream statistics, the writer thread, and the grade."""
