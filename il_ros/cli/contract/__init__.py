"""`il-ros contract`: draft a contract from something that exists, or check one against the running robot."""
