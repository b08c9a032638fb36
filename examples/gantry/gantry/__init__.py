"""A gantry robot for il_ros: contract, task, expert, policy family, codec and input device."""
