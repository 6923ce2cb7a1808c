"""A node's own state machine: tasks, actors, objects and resources of one machine."""
