"""What the families of CLIP and a U-Net share: reading weights, attention, encoding, the network call."""
