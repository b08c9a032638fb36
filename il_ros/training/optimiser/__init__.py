"""The optimiser on flat parameters, and written-out gradients."""
