"""Decoders: raw outputs become results here, in numpy, for the trainer, the exported model and the server alike.

One file a task.
"""
