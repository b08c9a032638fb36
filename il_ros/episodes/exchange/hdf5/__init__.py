"""HDF5 files of robomimic, and of those who write the same tree, as episodes."""
