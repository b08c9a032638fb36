"""`il-ros env`: tasks and Gymnasium environments in one process."""
