"""Models: what is on disk, without torch, and what is on the device."""
