"""``compare``: several ways to learn the same data, side by side."""
