"""Image encoders of CLIP: what they are made of, and what they see in a picture."""
