"""Arrays from bags: replay through the synchroniser, labels per tick, the cache and the data set."""
