"""What can be wrong with a training, and how each of it is told from what was measured."""
