"""The node `policy_server`."""
