"""Labels for demonstrations without actions."""
