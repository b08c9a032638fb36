"""`il-ros serve`: a policy for other processes and machines."""
