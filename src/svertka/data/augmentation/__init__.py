"""Augmentation: a pure function of (seed, epoch, index)."""
