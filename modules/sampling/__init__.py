"""Arithmetic of sampling: what the network says, which noise levels are visited, how one level leads to the next."""
