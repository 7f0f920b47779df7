"""The learned words of the catalog, as one model can read them. No torch here: the page counts tokens with it too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from modules.errors import ModelError
from modules.families.family import Header
from modules.model_manager.embeddings import Embedding, Source, read_embedding
from modules.model_manager.model_file import ModelFile
from modules.prompts.embeddings import LearnedWords

KIND = "embedding"
KEPT = 8  # vocabularies; there is one for each kind of model in use

Tokenize = Callable[[str], Sequence[int]]
Bundled = Mapping[str, Embedding]

NO_BUNDLE: Bundled = MappingProxyType({})


class Files(Protocol):
    """The side of the catalog that is needed here."""

    def files(self, kind: str) -> list[ModelFile]:
        """Return the files of a kind."""
        ...


def text_widths(header: Header) -> dict[str, int]:
    """Return how wide the text encoders of a checkpoint are, by component."""
    stated = {part: config.get("hidden_size") for part, config in header.configs.items()}
    return {part: width for part, width in stated.items() if part.startswith("text_encoder") and isinstance(width, int)}


class Vocabulary:
    """The learned words that one kind of model may meet in a prompt. A file is opened when a prompt first names it."""

    def __init__(
        self,
        tokenize: Tokenize,
        widths: Mapping[str, int],
        files: Sequence[ModelFile],
        bundled: Bundled = NO_BUNDLE,
        spell: Tokenize | None = None,
    ) -> None:
        self.widths = dict(widths)
        self.files = {file.name: file for file in files if file.name not in bundled and not file.problem}
        self._bundled = bundled
        self.words = LearnedWords(self, tokenize, self.vectors, spell)
        self._known: dict[str, Embedding | ModelError] = dict(bundled)

    def __iter__(self) -> Iterator[str]:
        """Yield the names: those that came with other networks first, they win."""
        yield from self._bundled
        yield from self.files

    def __len__(self) -> int:
        return len(self._bundled) + len(self.files)

    def __contains__(self, name: object) -> bool:
        return name in self._bundled or name in self.files

    def vectors(self, name: str) -> int:
        """Return how many vectors `name` stands for; 0 when it cannot be used with this kind of model."""
        found = self._look_up(name)
        return 0 if isinstance(found, ModelError) or self.sources(name) is None else found.count

    def sources(self, name: str) -> Mapping[str, Source] | None:
        """Return where the vectors of `name` lie, by text encoder; None when it cannot be used."""
        found = self._look_up(name)
        return None if isinstance(found, ModelError) else found.fitting(self.widths)

    def refused(self, name: str) -> ModelError | Embedding | None:
        """Return why `name`, which a prompt held, was left as text: its fault, or what is for another kind of model."""
        found = self._known.get(name)
        return found if found is not None and not self.vectors(name) else None

    def _look_up(self, name: str) -> Embedding | ModelError:
        if name not in self._known:
            try:
                self._known[name] = read_embedding(self.files[name].path)
            except ModelError as error:
                self._known[name] = error
        return self._known[name]


Key = tuple[tuple[tuple[str, Path, int, float], ...], tuple[tuple[str, int], ...]]


class Vocabularies:
    """Keeps the vocabulary of each kind of model until the catalog has other files."""

    def __init__(self, catalog: Files) -> None:
        self._catalog = catalog
        self._kept: dict[Key, tuple[Bundled, Vocabulary]] = {}
        self._spelt: dict[str, Sequence[int]] = {}  # thousands of names take a second, and few are new each time

    def of(self, tokenize: Tokenize, widths: Mapping[str, int], bundled: Bundled = NO_BUNDLE) -> Vocabulary:
        """Return the vocabulary for text encoders of these widths: the same object as long as nothing changed."""
        files = self._catalog.files(KIND)
        key = (
            tuple((file.name, file.path, file.size, file.modified) for file in files),
            tuple(sorted(widths.items())),
        )
        kept = self._kept.pop(key, None)
        if kept is None or kept[0] != bundled:
            kept = (bundled, Vocabulary(tokenize, widths, files, bundled, self._spell(tokenize)))
        self._kept[key] = kept  # last in the order
        while len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]
        return kept[1]

    def _spell(self, tokenize: Tokenize) -> Tokenize:
        """Return what spells names: every tokenizer of CLIP does it alike."""

        def spell(name: str) -> Sequence[int]:
            if name not in self._spelt:
                self._spelt[name] = tuple(tokenize(name))
            return self._spelt[name]

        return spell
