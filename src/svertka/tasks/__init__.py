"""What is learnt: targets, losses, metrics; one file per task."""
