"""What a network has learnt and what it goes by, of any module, layer and target; it knows nothing of data sets and files."""
