"""Pixels and their files: names, folders, atomic writing, and the text inside a picture."""
