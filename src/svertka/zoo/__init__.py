"""The registry of networks and the model file."""
