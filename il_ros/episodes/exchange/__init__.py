"""Episodes in the formats of other projects: LeRobotDataset v3.0 in and out. docs/exchange.md is the how-to."""
