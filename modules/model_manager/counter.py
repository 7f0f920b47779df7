"""How many tokens a prompt takes with a checkpoint, learned words and all. No torch here: the page shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import groupby
from pathlib import Path

from modules.errors import ModelError
from modules.model_manager.catalog import Catalog
from modules.model_manager.header import read_header
from modules.model_manager.learned import Vocabularies, text_widths
from modules.prompts.chunks import closed, count
from modules.prompts.comments import without_comments
from modules.prompts.composed import composed
from modules.prompts.embeddings import LearnedWords
from modules.prompts.schedule import schedule
from modules.prompts.tags import take_out
from modules.prompts.vocabulary import ClipTokenizer

KEPT = 64  # checkpoints whose text encoders are remembered
SHOWN = 4  # words before the end of a chunk


class TokenCounter:
    """Counts tokens as the engine will. Several threads may ask it."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._vocabularies = Vocabularies(catalog)
        self._widths: dict[tuple[Path, int, float], Mapping[str, int]] = {}

    @cached_property
    def _tokenizer(self) -> ClipTokenizer:
        return ClipTokenizer()  # read when it is first needed

    def words(self, checkpoint: str) -> LearnedWords:
        """Return the learned words as the checkpoint of that name reads them."""
        return self._vocabularies.of(self._tokenizer, self._text_encoders(checkpoint)).words

    def count(self, prompt: str, checkpoint: str, steps: int = 1, negative: bool = False) -> tuple[int, int]:
        """Return how many tokens `prompt` takes and how many fit in its chunks: (3, 75).

        Of texts that change within `steps`, and of prompts that AND joins, the longest counts. Tags and comments are no
        words. Learned words count as the checkpoint of that name reads them, or as text where there is no such one.
        """
        words = self.words(checkpoint)
        return max(count(text, self._tokenizer, learned=words) for text in _texts(prompt, steps, negative))

    def borders(self, prompt: str, checkpoint: str, steps: int = 1, negative: bool = False) -> list[str]:
        """Return the last words of each chunk of `prompt` but the last, of the longest text that is counted."""
        words = self.words(checkpoint)
        texts = _texts(prompt, steps, negative)
        longest = max(texts, key=lambda text: count(text, self._tokenizer, learned=words))
        return [self._ending(each) for each in closed(longest, self._tokenizer, learned=words)]

    def _ending(self, tokens: Sequence[int | str]) -> str:
        """Return the last words of a chunk; among its tokens are names of learned words."""
        said: list[str] = []
        for name, run in groupby(tokens, key=lambda each: each if isinstance(each, str) else ""):
            said.append(str(name) or self._tokenizer.text(each for each in run if isinstance(each, int)))
        return " ".join(" ".join(said).split()[-SHOWN:])

    def _text_encoders(self, checkpoint: str) -> Mapping[str, int]:
        """Return how wide the text encoders of a checkpoint are; none for one that cannot be read."""
        try:
            file = self._catalog.find(checkpoint)
            key = (file.path, file.size, file.modified)
            if key not in self._widths:
                self._widths[key] = text_widths(read_header(file.path))
                for old in list(self._widths)[:-KEPT]:
                    self._widths.pop(old, None)
            return self._widths[key]
        except ModelError:
            return {}


def _texts(prompt: str, steps: int, negative: bool) -> list[str]:
    """Return each text that is said at some step once."""
    plain = take_out(without_comments(prompt))[0]
    parts = [plain] if negative else [part.text for part in composed(plain)]
    return list(dict.fromkeys(text for part in parts for text in schedule(part, steps)))
