"""The outcomes of an episode."""

SUCCESS, FAILURE, UNMARKED = "success", "failure", "unmarked"
OUTCOMES = (SUCCESS, FAILURE, UNMARKED)
