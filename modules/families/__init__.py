"""Model families: each file says which checkpoints are its own and how they are loaded."""
