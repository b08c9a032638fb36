"""Control of the robot: the supervisor that arbitrates between proposals, and the safety limiter."""
