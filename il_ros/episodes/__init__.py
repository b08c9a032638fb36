"""Episodes: recording, reading, and conversion to training arrays."""
