"""What is explained of a network: of its classes, its masks or its boxes."""
