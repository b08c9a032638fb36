"""A gantry robot for il_ros: contract, task, expert, policy family and input device."""
