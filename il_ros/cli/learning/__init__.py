"""Training with own steps, and reward models: `il-ros train --recipe gail`, `il-ros reward`."""
