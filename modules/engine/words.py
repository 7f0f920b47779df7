"""The learned words of a batch: which a model can read, which its prompts hold, and what is said of the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from modules.engine.report import Report
from modules.engine.wording import Wording, texts
from modules.errors import ModelError
from modules.events import Note
from modules.families.family import Model
from modules.model_manager.catalog import Catalog
from modules.model_manager.learned import NO_BUNDLE, Bundled, Vocabularies, Vocabulary
from modules.model_manager.vectors import encoder_widths
from modules.prompts.cutting import Cutting
from modules.prompts.emphasis import EMPHASES
from modules.prompts.vocabulary import ClipTokenizer
from modules.request import Encoding, Request

DIGITS = 12  # of SHA-256, as A1111 writes them behind "TI hashes"


class LearnedWordsOf:
    """The learned words of the catalog for every model that the engine uses."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._vocabularies = Vocabularies(catalog)

    def vocabulary(self, model: Model, bundled: Bundled = NO_BUNDLE) -> Vocabulary:
        """Return what `model` can read, with the words `bundled` in other networks; the same object while it is so."""
        return self._vocabularies.of(model.tokenizer, encoder_widths(model), bundled)

    def hashes(self, vocabulary: Vocabulary, said: Sequence[Wording], scale: float, cutting: Cutting) -> dict[str, str]:
        """Return the learned words of a picture with their short hashes; empty for one without a file of its own."""
        found: dict[str, str] = {}
        for text in texts(said, scale):
            for name in vocabulary.words.within(text, cutting.read)[0]:
                file = vocabulary.files.get(name)
                found[name] = self._catalog.hashed(file).sha256[:DIGITS] if file else ""
        return found

    def tell(
        self,
        vocabulary: Vocabulary,
        tokenizer: ClipTokenizer,
        said: Iterable[Sequence[Wording]],
        scale: float,
        cutting: Cutting,
        report: Report,
    ) -> None:
        """Note the names that prompts hold and that were read as ordinary words all the same, each with its reason.

        So are words that were not read at all.
        """
        read = dict.fromkeys(text for each in said for text in texts(each, scale))
        left = max((cutting.left_out(text, tokenizer, vocabulary.words) for text in read), default=0)
        if left:
            report.tell(Note(key="words_cut", values={"count": left}))
        refused = (name for text in read for name in vocabulary.words.within(text, cutting.read)[1])
        for name in dict.fromkeys(refused):
            found = vocabulary.refused(name)
            if isinstance(found, ModelError):
                report.tell(Note(key="embedding_broken", values={"name": name, "reason": str(found)}))
            elif found is not None:
                made_for = found.family or ", ".join(str(each.shape[-1]) for each in found.sources.values())
                report.tell(Note(key="embedding_unfit", values={"name": name, "family": made_for}))


def cutting_of(request: Request) -> Cutting:
    """Return how the prompts of `request` become chunks of tokens."""
    asked = request.encoding or Encoding()
    return Cutting(EMPHASES[request.emphasis], asked.comma_backtrack, asked.old_emphasis)
