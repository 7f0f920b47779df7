"""Loaded controls of the U-Net families: torch and diffusers are imported here."""
