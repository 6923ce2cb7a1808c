"""A node among others: what leaves it, what comes, what it keeps for them."""
