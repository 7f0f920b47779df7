"""Jobs, their order, the workers that do them, and what is told about them."""
