"""Training from recorded episodes, in one visible loop, and how well the result does."""
