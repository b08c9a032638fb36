"""The optimiser on flat parameters, and analytic gradients."""
