"""``evaluate``: metrics of a model on a data set."""
