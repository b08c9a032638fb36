"""The shared language: contract, messages, codecs, synchroniser, settings, files."""
