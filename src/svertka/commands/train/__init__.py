"""``train``: a data set becomes a run and a model file."""
