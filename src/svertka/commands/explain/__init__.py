"""``explain``: what a network has learnt, in pictures."""
