"""The kinds of model files, and the folders each lies in: A1111's names first, then what other programs call them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from modules.model_manager.model_file import stem_of
from modules.settings import Settings

VAE_BESIDE = (".vae.safetensors", ".vae.ckpt", ".vae.pt")  # a VAE that lies beside the checkpoint it belongs to


def _path(folder: str, file: str) -> str:
    return f"{folder}/{file}" if folder else file


def _file(folder: str, file: str) -> str:
    return file


def _stem(folder: str, file: str) -> str:
    return stem_of(file)


@dataclass(frozen=True)
class Kind:
    """One kind of model file.

    `folders` are names below a folder of models, read without regard to case; `setting` names the field of `Settings`
    with further folders; files that end with one of `others` are of another kind; `named` makes a file's name out of
    its folder and file name, as A1111 shows it. A folder that holds a file named `index` is one model.
    """

    name: str
    folders: tuple[str, ...]
    suffixes: tuple[str, ...]
    setting: str = ""
    others: tuple[str, ...] = ()
    named: Callable[[str, str], str] = _stem
    index: str = ""

    def accepts(self, file: str) -> bool:
        """Return whether a file of that name (in lower case) is of this kind, where such files lie."""
        return file.endswith(self.suffixes) and ".preview." not in file and not file.endswith(self.others)


PICTURES = (".png", ".webp", ".avif", ".jxl")  # may carry an embedding
_WEIGHTS = (".safetensors", ".ckpt", ".pt")
_NETWORKS = (".safetensors", ".pth", ".pt", ".ckpt", ".bin")

KINDS = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            Kind(
                "checkpoint",
                ("Stable-diffusion", "checkpoints", "diffusers"),
                (".safetensors", ".ckpt"),
                "ckpt_dir",
                VAE_BESIDE,
                _path,
                "model_index.json",
            ),
            Kind("lora", ("Lora", "LyCORIS", "loras"), _WEIGHTS, "lora_dir"),
            Kind("vae", ("VAE",), _WEIGHTS, "vae_dir", named=_file),
            Kind("embedding", ("embeddings",), (".safetensors", ".pt", ".bin", *PICTURES), "embeddings_dir"),
            Kind("hypernetwork", ("hypernetworks",), (".pt", ".safetensors"), "hypernetwork_dir"),
            Kind("controlnet", ("ControlNet",), _NETWORKS, "controlnet_dir", index="config.json"),
            Kind(
                "upscaler",
                ("ESRGAN", "RealESRGAN", "BSRGAN", "DAT", "HAT", "SwinIR", "ScuNET", "LDSR", "upscale_models"),
                _NETWORKS,
                "upscaler_dir",
            ),
            Kind("face", ("Codeformer", "GFPGAN", "facerestore_models"), _NETWORKS, "face_dir"),
            Kind("text_encoder", ("text_encoder", "text_encoders", "clip"), _NETWORKS, "text_encoder_dir", named=_file),
            Kind("vae_approx", ("VAE-approx", "VAE-taesd", "vae_approx"), _NETWORKS, named=_file),
        )
    }
)


_BESIDE = Kind("vae", (), VAE_BESIDE, named=_file)


def home(settings: Settings, kind: str) -> Path:
    """Return the folder that new files of `kind` are put into."""
    return settings.models / KINDS[kind].folders[0]


def roots(settings: Settings, kind: str) -> list[Path]:
    """Return the folders that files of `kind` lie in, those that exist, each once: Easel's own first."""
    found: dict[str, Path] = {}
    for path in _candidates(settings, KINDS[kind]):
        if path.is_dir():
            found.setdefault(os.path.realpath(path), path)
    return list(found.values())


def places(settings: Settings, kind: str) -> list[tuple[Kind, list[Path]]]:
    """Return where to look for files of `kind`: a VAE may also lie beside the checkpoint it belongs to."""
    found = [(KINDS[kind], roots(settings, kind))]
    return [*found, (_BESIDE, roots(settings, "checkpoint"))] if kind == _BESIDE.name else found


def bases(settings: Settings) -> list[Path]:
    """Return the folders that hold folders of models: Easel's own, then those of other programs.

    A further root may be the folder of models itself or the program's folder, which has `models` in it.
    """
    others = (each / "models" if (each / "models").is_dir() else each for each in settings.model_roots)
    return [settings.models, *others]


def _candidates(settings: Settings, kind: Kind) -> Iterator[Path]:
    wanted = {name.lower(): place for place, name in enumerate(kind.folders)}
    for base in bases(settings):
        try:
            names = [entry.name for entry in os.scandir(base) if entry.name.lower() in wanted]
        except OSError:  # absent, or not ours to read
            names = []
        yield from (base / name for name in sorted(names, key=lambda name: (wanted[name.lower()], name)))
    if kind.name == "embedding":  # A1111 keeps them beside `models`
        yield settings.data_dir / "embeddings"
        yield from (each / "embeddings" for each in settings.model_roots)
    yield from getattr(settings, kind.setting, ())
