"""What a worker has loaded, as it tells the server: torch is not imported here."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Resident:
    """A model in memory. `size` is what its weights occupy in bytes, `parts` the same by component.

    `place` says where they are: a device ("cpu", "cuda:0"), or "cuda:0 + cpu" when they take turns on the device.
    """

    name: str
    family: str
    size: int
    place: str
    dtype: str = ""
    vae: str = ""  # a file of its own; empty: the checkpoint's
    parts: tuple[tuple[str, int], ...] = ()
