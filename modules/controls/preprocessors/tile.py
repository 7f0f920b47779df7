"""What a picture shows without its detail: for tiles that are drawn anew, and for blurred hints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modules.controls.preprocessor import Pixels, Place, Preprocessor, Run
from modules.hooks import hookimpl
from modules.offers import Slider


def load(place: Place) -> Run:
    """Return what makes a picture smaller by a rate, and large again."""
    import cv2

    def tile(picture: Pixels, options: Mapping[str, float]) -> Pixels:
        rows, columns = picture.shape[:2]
        rate = options["rate"]
        small = max(1, round(columns / rate)), max(1, round(rows / rate))
        shrunk = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
        return cv2.resize(shrunk, (columns, rows), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]

    return tile


class _Blur:
    def load(self, place: Place) -> Run:
        """Return a Gaussian blur."""
        import cv2

        def blur(picture: Pixels, options: Mapping[str, float]) -> Pixels:
            return cv2.GaussianBlur(picture, (0, 0), options["sigma"])  # type: ignore[return-value]

        return blur


@hookimpl
def preprocessors() -> Sequence[Preprocessor]:
    """Offer both."""
    rate = Slider("rate", "Down Sampling Rate", 1.0, 8.0, 1.0, 0.01)
    sigma = Slider("sigma", "Sigma", 0.01, 64.0, 9.0, 0.01)
    return [
        Preprocessor("tile_resample", load, tags=("Tile",), sliders=(rate,)),
        Preprocessor("blur_gaussian", _Blur().load, tags=("Tile", "Blur"), sliders=(sigma,)),
    ]
