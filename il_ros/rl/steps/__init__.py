"""The steps that are learnt from: those of demonstrations, and own ones in environments."""
