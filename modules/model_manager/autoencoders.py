"""Which autoencoder (VAE) a checkpoint is used with: its own, one that lies beside it, or one that was chosen."""

from __future__ import annotations

from modules.errors import UnknownModel
from modules.model_manager.catalog import Catalog, ModelFile
from modules.model_manager.kinds import VAE_BESIDE
from modules.model_manager.model_file import stem_of

AUTOMATIC = "Automatic"
OWN = "None"


class Autoencoders:
    """Finds autoencoders; owned by the engine."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def chosen(self, checkpoint: ModelFile, wanted: str) -> ModelFile | None:
        """Return the file a request wants, with its hash, or None for the checkpoint's own.

        `wanted` is "None" for that, a name, or "Automatic": the one a person wrote down for the checkpoint, else the
        one of its name (`model.vae.safetensors` beside `model.safetensors`, or in the folder of VAEs). Raises
        `UnknownModel` for a name there is not, and what is wrong with a file that cannot be used.
        """
        if wanted == OWN:
            return None
        if wanted not in ("", AUTOMATIC):
            return self._catalog.hashed(self._catalog.find(wanted, "vae"))
        noted = self._catalog.details(checkpoint).vae
        if noted == OWN:
            return None
        return self._noted(noted) or self._beside(checkpoint) or self._namesake(checkpoint)

    def _noted(self, noted: str) -> ModelFile | None:
        if noted in ("", AUTOMATIC):
            return None
        try:
            return self._catalog.hashed(self._catalog.find(noted, "vae"))
        except UnknownModel:  # written down long ago perhaps, or elsewhere
            return None

    def _beside(self, checkpoint: ModelFile) -> ModelFile | None:
        places = {checkpoint.path.with_name(stem_of(checkpoint.path.name) + ending) for ending in VAE_BESIDE}
        file = next((file for file in self._catalog.files("vae") if file.path in places), None)
        return self._catalog.hashed(self._catalog.find(file.name, "vae")) if file else None

    def _namesake(self, checkpoint: ModelFile) -> ModelFile | None:
        stem = stem_of(checkpoint.path.name).lower()
        for file in self._catalog.files("vae"):
            if not file.problem and file.stem.lower() in (stem, f"{stem}.vae"):
                return self._catalog.hashed(file)
        return None
