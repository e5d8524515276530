"""``diagnose``: whether a network has learnt, and what kept it from it."""
