"""Setting up: makes the environment Easel runs in, with the standard library alone."""
