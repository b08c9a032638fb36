"""Arrays from bags: replay through the synchroniser, tick labels, the array cache and the dataset."""
