"""``prune``: a trained network made smaller."""
