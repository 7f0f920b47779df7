"""Hint pictures: drawn by a preprocessor, and brought to the shape of the result."""
