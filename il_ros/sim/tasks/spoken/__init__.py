"""Tasks that are told in words."""
