"""``nets``: the networks there are."""
