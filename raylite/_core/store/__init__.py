"""The control store: shards, their replica chains, and the master."""
