"""What is computed once and kept: decoded images and masks, what frozen stages gave, unpacked archives."""
