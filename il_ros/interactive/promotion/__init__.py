"""Which new policy version may drive, and when a version is rolled back."""
