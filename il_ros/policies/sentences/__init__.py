"""Sentences as vectors: an instruction that was not shown is compared in meaning with those that were."""
