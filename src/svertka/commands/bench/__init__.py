"""``bench``: how fast models run on this machine."""
