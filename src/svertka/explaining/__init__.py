"""What a network has learnt and what it goes by: methods that are handed module, layer, target and images."""
