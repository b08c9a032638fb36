"""Recorded moments that are labelled later: which ones, as starts of a session, and by the scripted expert."""
