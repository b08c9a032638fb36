"""`il-ros reward`: train reward models, and rate episodes with them."""
