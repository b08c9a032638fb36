"""`il-ros serve` and `il-ros policy export`: a policy for other processes, machines and programs."""
