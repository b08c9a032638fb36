"""`il-ros train`: by imitation, with own steps, from recorded steps, and with several seeds."""
