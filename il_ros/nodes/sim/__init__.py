"""The simulator nodes `sim` and `sim_gz`, and the node `scripted_expert`."""
