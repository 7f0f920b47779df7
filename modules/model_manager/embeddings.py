"""What a textual inversion holds (Gal et al. 2022), by its header: how many vectors, for which text encoders.

Read are A1111's files (`string_to_param`), those of diffusers (one tensor, named by its token or `emb_params`), pairs
for SDXL (`clip_l`, `clip_g`), and pictures that carry one. No torch here: the page counts a prompt's vectors with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from modules.errors import BrokenFile
from modules.families.family import Entry
from modules.model_manager.embedding_picture import SUFFIXES, Vectors, read_picture
from modules.model_manager.header import read_safetensors
from modules.model_manager.torch_file import read_torch
from modules.prompts.embeddings import LONGEST

PAIR = MappingProxyType({"clip_l": "text_encoder", "clip_g": "text_encoder_2"})
ONLY = ""  # the text encoder of a file that is for models with one
FLOATS = frozenset({"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"})
FAMILIES = MappingProxyType({768: "sd1", 1024: "sd2", 1280: "sdxl"})

Source = Entry | Vectors


@dataclass(frozen=True)
class Embedding:
    """One learned word: `sources` holds its vectors by text encoder, each of `count` rows."""

    sources: Mapping[str, Source]
    count: int

    @property
    def family(self) -> str:
        """The family whose text encoders are as wide as this; empty when none is."""
        if ONLY not in self.sources:
            return "sdxl"
        return FAMILIES.get(self.sources[ONLY].shape[-1], "")

    def fitting(self, widths: Mapping[str, int]) -> Mapping[str, Source] | None:
        """Return the vectors by text encoder of a model whose encoders are so wide; None when it is for another kind.

        One tensor is for a model of one encoder; a pair is for one that has a second, whether it has a first or not.
        """
        if ONLY in self.sources:
            wanted = {part: self.sources[ONLY] for part in widths} if len(widths) == 1 else {}
        elif PAIR["clip_g"] in widths:
            wanted = {part: self.sources[part] for part in widths if part in self.sources}
        else:
            wanted = {}
        fits = len(wanted) == len(widths) and all(wanted[part].shape[-1] == widths[part] for part in wanted)
        return wanted if wanted and fits else None


def read_embedding(path: Path) -> Embedding:
    """Return the learned word in the file at `path`.

    Raises `BrokenFile` when there is none, or more than one, or the file is damaged; `UnsafeFile` for one with code.
    """
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        return _word({ONLY: read_picture(path)}, path.name)
    entries = dict(read_safetensors(path)) if suffix == ".safetensors" else read_torch(path).entries
    return embedding_of(entries, path.name)


def embedding_of(entries: Mapping[str, Entry], file: str) -> Embedding:
    """Return the learned word among the tensors of a file; raises `BrokenFile`."""
    if all(part in entries for part in PAIR):
        return _word({part: entries[key] for key, part in PAIR.items()}, file)
    named = [entry for key, entry in entries.items() if key.startswith("string_to_param.")]
    found = named or [entry for entry in entries.values() if entry.dtype in FLOATS]
    if len(found) != 1:
        raise BrokenFile("not_one_embedding", file=file, count=len(found))
    return _word({ONLY: found[0]}, file)


def _word(sources: Mapping[str, Source], file: str) -> Embedding:
    """Check the shapes; a single vector may lack the side that counts vectors."""
    counts = {source.shape[0] if len(source.shape) == 2 else 1 for source in sources.values()}
    sound = all(len(each.shape) in (1, 2) and each.shape[-1] and each.dtype in FLOATS for each in sources.values())
    if len(counts) != 1 or not sound or not 0 < min(counts) <= LONGEST:
        raise BrokenFile("embedding_shape", file=file, shapes=", ".join(str(each.shape) for each in sources.values()))
    return Embedding(MappingProxyType(dict(sources)), counts.pop())
