"""``verify``: a model file reproduces its own outputs in every engine."""
