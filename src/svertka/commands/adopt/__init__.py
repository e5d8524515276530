"""``adopt``: somebody else's weights become a model file."""
