"""The route of one request: plan, borrow, encode, start, denoise, decode, save."""
