"""`il-ros migrate`: files of earlier versions in today's words; see `command`."""
