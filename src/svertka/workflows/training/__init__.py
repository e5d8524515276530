"""Training, step by step: what is decided, what is planned, and the ways a network learns."""
