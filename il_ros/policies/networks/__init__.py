"""Networks, and parts of networks, that several families and rewards are made of."""
