"""What is written into bags and read back: proposals, decisions, ticks, labelling rules and trials."""
