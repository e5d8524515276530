"""The training loop and what steers it. It is handed a network, a task and batches."""
