"""`recipe: auto`: what is found in the episodes, and which recipe that makes the right one."""
