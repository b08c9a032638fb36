"""Recording one episode: options, streams, the writer thread, and the grade."""
