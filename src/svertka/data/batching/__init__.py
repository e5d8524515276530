"""Batches: what the network gets of the samples, in which order."""
