"""What all nodes share: lifecycle, executor, parameters, streams, diagnostics, launch descriptions."""
