"""Who moves the robot, and how far: proposals, arbitration and the safety gate."""
