"""LeRobotDataset v3.0 (`codebase_version` "v3.0"): export of episodes, and import as episodes."""
