"""Which starts, moments and episodes a person should show next."""
