"""From an episode to the files of a data set: segments of rows and videos, statistics, assembly."""
