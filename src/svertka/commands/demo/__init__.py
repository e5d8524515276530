"""``demo``: the whole way once, on handwritten digits."""
