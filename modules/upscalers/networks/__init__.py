"""Networks that enlarge and restore images, read as data and run by spandrel; this room needs torch."""
