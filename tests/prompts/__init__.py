"""Tests of `modules/prompts/`."""
