"""Tests of `modules/sampling/`."""
