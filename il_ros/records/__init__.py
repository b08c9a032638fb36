"""Records in bags and result files: proposals, decisions, ticks, labelling rules and trials."""
