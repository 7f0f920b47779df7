"""Words: the prompt language, chunks of tokens with weights, and the vocabulary."""
