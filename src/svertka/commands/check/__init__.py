"""``check``: faults of a data set, and a copy without them."""
