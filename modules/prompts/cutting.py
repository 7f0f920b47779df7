"""How a prompt becomes chunks of tokens: by a way of emphasis, cut at commas, or as A1111 did until 2022."""

from __future__ import annotations

from dataclasses import dataclass, replace

from modules.prompts.chunks import BACKTRACK, SIZE, Chunk, chunks
from modules.prompts.embeddings import LearnedWords
from modules.prompts.emphasis import ORIGINAL, Apply, Emphasis, even, literal
from modules.prompts.old_emphasis import old_chunk, old_count
from modules.prompts.syntax import Part
from modules.prompts.vocabulary import ClipTokenizer


@dataclass(frozen=True)
class Cutting:
    """One such way. A full chunk is cut at a comma that lies at most `backtrack` tokens back; 0: never.

    In the `old` way (`old_emphasis`) there is one chunk.
    """

    emphasis: Emphasis = ORIGINAL
    backtrack: int = BACKTRACK
    old: bool = False

    @property
    def apply(self) -> Apply:
        """What weights do to what the text encoder says."""
        return self.emphasis.apply

    def read(self, prompt: str) -> list[Part]:
        """Return the parts of `prompt` in which learned words are looked for."""
        return literal(prompt) if self.old else self.emphasis.read(prompt)

    def cut(self, prompt: str, tokenizer: ClipTokenizer, learned: LearnedWords | None = None) -> list[Chunk]:
        """Return the chunks of `prompt`, at least one."""
        if not self.old:
            return chunks(self.emphasis.read(prompt), tokenizer, self.backtrack, learned=learned)
        if self.emphasis.read is literal:  # then brackets are words in the old way, too
            return chunks(literal(prompt), tokenizer, 0, learned=learned)[:1]
        chunk = old_chunk(prompt, tokenizer, learned)
        return [replace(chunk, weights=(1.0,) * len(chunk.weights)) if self.emphasis.read is even else chunk]

    def left_out(self, prompt: str, tokenizer: ClipTokenizer, learned: LearnedWords | None = None) -> int:
        """Return how many tokens of `prompt` find no room in its chunks; only the old way leaves any out."""
        if not self.old:
            return 0
        plain = self.emphasis.read is literal
        return max((len(tokenizer(prompt)) if plain else old_count(prompt, tokenizer, learned)) - SIZE, 0)


USUAL = Cutting()
