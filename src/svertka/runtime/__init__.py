"""Everything that predicting needs, without torch."""
