"""Ratios measured in one run, on demand: `python -m tests.benchmarks`, or one of them by name.

A file that begins with an underscore helps the others; every other one prints a table when it is run.
"""
