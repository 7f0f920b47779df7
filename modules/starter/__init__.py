"""The embedded default model: the pictures it learns from, its training and its evaluation."""
