"""How a family reads words with a text encoder: what its own file says of it."""

from dataclasses import dataclass

from modules.prompts.chunks import EOS


@dataclass(frozen=True)
class Reading:
    """What a family takes from one of its text encoders.

    Layers are counted from the end, 1 being the last: `skip` is the least that is taken, whatever clip skip asks;
    `cut` says how many the checkpoint leaves out at the end because nobody reads them.
    """

    part: str  # "text_encoder"
    pad: int = EOS  # fills up what is behind the first end token
    skip: int = 1
    cut: int = 0
    first: bool = False  # of several: the one that follows clip skip where only one is to, down to its last layer
    normed: bool = True  # the final layer norm on what is taken
    pooled: bool = False  # also the whole chunk in one vector, through the projection
