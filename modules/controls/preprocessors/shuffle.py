"""The colours and textures of a picture without what is where: pixels drawn along a smooth random flow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modules.controls.preprocessor import Pixels, Place, Preprocessor, Run
from modules.hooks import hookimpl

FLOW = 256  # pixels between two random directions
SEED = 12345  # sd-webui-controlnet's: the same picture is shuffled the same way each time


def load(place: Place) -> Run:
    """Return what shuffles a picture."""
    import cv2
    import numpy as np
    import numpy.typing as npt

    def flow(random: np.random.Generator, rows: int, columns: int) -> npt.NDArray[np.float32]:
        coarse = random.uniform(size=(rows // FLOW + 2, columns // FLOW + 2))
        size = columns + 2 * FLOW, rows + 2 * FLOW
        fine = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)[FLOW : FLOW + rows, FLOW : FLOW + columns]
        fine -= fine.min()
        return (fine / max(float(fine.max()), 1e-6)).astype(np.float32)

    def shuffle(picture: Pixels, options: Mapping[str, float]) -> Pixels:
        rows, columns = picture.shape[:2]
        random = np.random.default_rng(SEED)
        across, down = flow(random, rows, columns) * (columns - 1), flow(random, rows, columns) * (rows - 1)
        return cv2.remap(picture, across, down, cv2.INTER_LINEAR)  # type: ignore[return-value]

    return shuffle


@hookimpl
def preprocessors() -> Sequence[Preprocessor]:
    """Offer it."""
    return [Preprocessor("shuffle", load, tags=("Shuffle",))]
