"""Families: what they recognise, load and refuse."""
