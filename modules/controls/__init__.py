"""Controls: pictures that say what goes where, as rings around `predict`, and the preprocessors that draw them."""
