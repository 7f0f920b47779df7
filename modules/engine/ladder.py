"""What is tried, rung by rung, when there is no room for a picture, or when half precision cannot decode it.

What a rung changes holds for the rest of the request, and is written into the recipe of every picture made so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from modules.engine.report import Report
from modules.events import Note

TILES = (512, 256)  # sides of the pieces a picture is decoded in, in pixels
LABEL = "Memory ladder"


@dataclass
class Ladder:
    """How a request is being made: `tile` is the side in pixels of the pieces that are decoded (0: at once).

    `exact`: decoding in half precision gave not-a-number, so it is done in float32. `batch` is how many pictures are
    made together at most (0: as many as were asked for).
    """

    report: Report
    tile: int = 0
    exact: bool = False
    offload: str = ""
    batch: int = 0
    _freed: bool = False

    def notes(self) -> dict[str, str]:
        """Return the entries of a recipe that say what was done."""
        done = [f"VAE tiles {self.tile}"] if self.tile else []
        done += [self.offload] if self.offload else []
        done += [f"batch {self.batch}"] if self.batch else []
        said = {LABEL: " + ".join(done)} if done else {}
        return said | ({"VAE dtype": "fp32"} if self.exact else {})

    def smaller_tiles(self) -> bool:
        """Decode in smaller pieces from now on; return whether that can be."""
        smaller = next((side for side in TILES if not self.tile or side < self.tile), 0)
        if not smaller:
            return False
        self.tile = smaller
        self.report.tell(Note(key="memory_tiles", values={"side": smaller}))
        return True

    def in_full(self) -> None:
        """Decode in float32 from now on."""
        self.exact = True
        self.report.tell(Note(key="vae_exact", values={}))

    def climb(self, pictures: int, evict: Callable[[], bool], offload: Callable[[], str | None]) -> bool:
        """Take the next rung after a batch of `pictures` found no room; return False when there is none left.

        `evict` lets everything else go and says whether there was anything; `offload` has the model need less of the
        device and says how.
        """
        if evict() and not self._freed:
            self._freed = True
            return True
        if (how := offload()) is not None:
            self.offload = how
            self.report.tell(Note(key="memory_offload", values={"how": how}))
            return True
        if pictures > 1:
            self.batch = pictures // 2
            self.report.tell(Note(key="memory_batch", values={"count": self.batch}))
            return True
        return False
