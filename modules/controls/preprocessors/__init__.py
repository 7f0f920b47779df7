"""The preprocessors: a picture in, a hint picture of the same size out."""
