"""Models on disk and on the device."""
