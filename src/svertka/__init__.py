"""Svertka: a folder of images becomes a trained, explained and deployed convolutional network."""

__version__ = "0.1.0"
