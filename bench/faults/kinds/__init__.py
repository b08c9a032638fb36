"""The faults by kind; each module has FAULTS."""
