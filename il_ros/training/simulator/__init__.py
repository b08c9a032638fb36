"""Success in the simulator of the task, while a policy is trained."""
