"""Episodes for other packages."""
