"""CLIP's tokenizer as the files of a diffusers folder."""

from __future__ import annotations

import json
from pathlib import Path

from modules.prompts.vocabulary import SPECIAL, ClipTokenizer, read_merges, vocabulary_file


def write_tokenizer(folder: Path, pad: str = SPECIAL[1]) -> None:
    """Write vocabulary, merges and settings into `folder`; `pad` is the word that fills a prompt up."""
    folder.mkdir(parents=True, exist_ok=True)
    words = json.dumps(dict(ClipTokenizer().ids), ensure_ascii=False, separators=(",", ":"))
    (folder / "vocab.json").write_text(words, encoding="utf-8")
    lines = ["#version: 0.2", *(f"{left} {right}" for left, right in read_merges(vocabulary_file()))]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    special = {"bos_token": SPECIAL[0], "eos_token": SPECIAL[1], "unk_token": SPECIAL[1], "pad_token": pad}
    settings = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": 77,
        "do_lower_case": True,
        "add_prefix_space": False,
        **special,
    }
    for name, value in (("special_tokens_map", special), ("tokenizer_config", settings)):
        (folder / f"{name}.json").write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
