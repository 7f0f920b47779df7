"""What image encoders see in the pictures of units: the encoder used last, and what was seen last."""

from __future__ import annotations

from collections import OrderedDict

from modules.controls.control import Seen, Sight
from modules.controls.preprocessor import Pixels
from modules.controls.vision.encoder import ImageEncoder, load_image_encoder
from modules.families.family import Model
from modules.model_manager.catalog import Catalog, stamp_of
from modules.model_manager.resident import Resident

KEPT = 8  # pictures; what is seen in one takes 1 to 3 MB
KIND = "CLIP"

_Key = tuple[object, ...]


class Eyes:
    """Owned by the engine's controls."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._encoder: tuple[_Key, ImageEncoder, Resident] | None = None
        self._seen: OrderedDict[_Key, Seen] = OrderedDict()

    def see(self, picture: Pixels, sight: Sight, asks: str, model: Model) -> Seen:
        """Return what the image encoder of that sight says of `picture`, on the device of `model`.

        `asks` names the control that needs it. Raises `UnknownModel` when there is none, `BrokenFile` when it is not
        whole, and torch's own error when there is no room.
        """
        header = self._catalog.image_encoder(sight, asks)
        eye: _Key = (header.path, stamp_of(header.path), model.device, model.dtype)
        key = (*eye, picture.shape, hash(picture.tobytes()))
        if key not in self._seen:
            if self._encoder is None or self._encoder[0] != eye:
                self._encoder = None  # first: two of them need not be there at once
                encoder = load_image_encoder(header, model)
                dtype = str(model.dtype).removeprefix("torch.")
                parts = ((KIND, encoder.size),)
                told = Resident(header.path.name, "", encoder.size, str(model.device), dtype, parts=parts)
                self._encoder = eye, encoder, told
            self._seen[key] = self._encoder[1].see(picture)
            while len(self._seen) > KEPT:
                self._seen.popitem(last=False)
        self._seen.move_to_end(key)
        return self._seen[key]

    def resident(self) -> tuple[Resident, ...]:
        """Return the encoder in memory, if there is one."""
        return () if self._encoder is None else (self._encoder[2],)

    def close(self) -> None:
        """Let go of the encoder: what was seen is still known."""
        self._encoder = None

    def forget(self) -> None:
        """Let go of everything that is kept for the next time."""
        self._encoder = None
        self._seen.clear()
