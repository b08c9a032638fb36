"""What a training measures: as tables, plots and for other programs."""
