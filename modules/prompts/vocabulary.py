"""CLIP's tokenizer without torch and transformers: the Rust library on the vocabulary that open_clip carries.

Gives the ids of transformers' `CLIPTokenizer` on text cleaned as OpenAI's tokenizer cleans it (ftfy, lower case), which
are those of open_clip's `SimpleTokenizer` (byte-level BPE: Sennrich et al. 2016; Radford et al. 2021).
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path

import ftfy
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import BPE

from modules.errors import SetupError

FILE = "bpe_simple_vocab_16e6.txt.gz"
MERGES = 48894
SPECIAL = ("<|startoftext|>", "<|endoftext|>")  # ids 49406 and 49407, the last of 49408
_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


class ClipTokenizer:
    """Text to the ids of CLIP's vocabulary of 49408, without begin and end.

    Nothing in a text is special: the literal "<|endoftext|>" is its letters. Built in a tenth of a second or two; safe
    to share between threads. Raises `SetupError` when the vocabulary is not installed.
    """

    def __init__(self, file: Path | None = None) -> None:
        merges = read_merges(file or vocabulary_file())
        letters = list(_byte_letters())
        words = [*letters, *(letter + "</w>" for letter in letters), *(a + b for a, b in merges), *SPECIAL]
        self._ids = {word: i for i, word in enumerate(words)}
        self._words = words
        self._tokenizer = Tokenizer(
            BPE(
                vocab=self._ids,
                merges=merges,
                continuing_subword_prefix="",
                end_of_word_suffix="</w>",
                fuse_unk=False,
                unk_token=SPECIAL[1],
            )
        )
        self._tokenizer.normalizer = normalizers.Sequence(
            [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
        )
        self._tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )

    def __call__(self, text: str) -> list[int]:
        """Return the ids of `text`; none for an empty one."""
        return list(self._tokenizer.encode(clean(text)).ids)

    def __len__(self) -> int:
        """Return the size of the vocabulary."""
        return len(self._words)

    @property
    def ids(self) -> Mapping[str, int]:
        """Every word of the vocabulary as it writes it, with its id."""
        return self._ids

    def word(self, token: int) -> str:
        """Return how the vocabulary writes `token`: byte letters, with "</w>" at the end of a word."""
        return self._words[token]

    def text(self, tokens: Iterable[int]) -> str:
        """Return what `tokens` say, as the tokenizer understood it: lower case, a space after each word."""
        letters = {letter: byte for byte, letter in zip(_byte_order(), _byte_letters(), strict=True)}
        words = "".join(self._words[token] for token in tokens).split("</w>")
        return " ".join(bytes(letters[letter] for letter in word).decode("utf-8", "replace") for word in words).strip()


def clean(text: str) -> str:
    """Return `text` mended (mojibake, curly quotes, control characters: ftfy), in lower case."""
    mended: str = ftfy.fix_text(text)
    return mended.lower()


def vocabulary_file() -> Path:
    """Return where the installed open_clip keeps its vocabulary, without importing it (it imports torch)."""
    spec = find_spec("open_clip")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (file := Path(folder) / FILE).is_file():
            return file
    raise SetupError("no_vocabulary", file=FILE)


def read_merges(file: Path) -> list[tuple[str, str]]:
    """Return the pairs that are merged, the most frequent first, from open_clip's file."""
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        lines.readline()  # its version
        pairs = [line.split() for line, _ in zip(lines, range(MERGES), strict=False)]
    return [(first, second) for first, second in pairs]


def _byte_letters() -> list[str]:
    """Return one printable letter for each byte in the order of the vocabulary: itself, or one from U+0100 on."""
    printable = _printable()
    return [chr(byte) for byte in printable] + [chr(0x100 + i) for i in range(256 - len(printable))]


def _byte_order() -> list[int]:
    """Return the bytes in the order of the vocabulary: those that are printable letters first."""
    printable = _printable()
    return [*printable, *sorted(set(range(256)) - set(printable))]


def _printable() -> list[int]:
    return [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
