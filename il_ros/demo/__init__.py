"""The whole loop in simulation, on real topics between real processes, with a page that shows it."""
