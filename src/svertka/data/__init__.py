"""Readers of data sets, splits, the image cache, augmentation, batches."""
