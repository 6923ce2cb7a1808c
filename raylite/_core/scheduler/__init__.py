"""The global scheduler: which node a task, an actor or a bundle goes to."""
