"""From a trained network to what ships."""
