"""Easel: a browser-based Stable Diffusion studio."""

__version__ = "0.1.0"
