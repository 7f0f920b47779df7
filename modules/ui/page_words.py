"""The texts of the page.

What is built once for everybody (labels, buttons) is a key that the browser looks up in its own language; what is
written for one visitor (progress, errors) is a sentence in the language of that request.
"""

from collections.abc import Mapping

import gradio as gr
from gradio.i18n import I18nData

from modules.errors import EaselError
from modules.words import LANGUAGES, Words, load_words, preferred


class PageWords:
    """Every text of the page, in every language."""

    def __init__(self) -> None:
        self.languages: Mapping[str, Words] = {tag: load_words(tag) for tag in LANGUAGES}
        self._texts: dict[str, dict[str, str]] = {
            tag: {_key(name): text for name, text in words.sentences.items() if name.startswith("ui.")}
            for tag, words in self.languages.items()
        }

    def __call__(self, name: str) -> I18nData:
        """Return the text `name` of `locale/*/ui.json`, resolved by the browser."""
        return I18nData(_key(f"ui.{name}"))

    def say(self, key: str) -> I18nData:
        """Return the text `key` of any file of `locale`, as "room.name", resolved by the browser."""
        own = f"easel_{key.replace('.', '_')}"
        for tag, words in self.languages.items():
            self._texts[tag][own] = words.say(key)
        return I18nData(own)

    def of(self, en: str, **others: str) -> I18nData:
        """Return a text given on the spot, as an extension does: `words.of("Wildcards", ko="와일드카드")`."""
        key = f"own_{len(self._texts['en'])}"
        for tag in LANGUAGES:
            self._texts[tag][key] = others.get(tag, en)
        return I18nData(key)

    def table(self) -> gr.I18n:
        """Return what Gradio sends to the browser; call it when the whole page is built."""
        return gr.I18n(**self._texts)

    def heard(self, request: gr.Request | None) -> Words:
        """Return the words of the language the visitor's browser asks for."""
        asked = request.headers.get("accept-language", "") if request is not None else ""
        return self.languages[preferred(asked)]


def explain(error: EaselError, words: Words) -> str:
    """Return the sentence of `error`, with the field it is about called as the page calls it."""
    return sentence(error.key, error.values, words)


def sentence(key: str, values: Mapping[str, object], words: Words) -> str:
    """Return the sentence `key` of `errors.json`; a `field` among `values` is called as the page calls it."""
    rooms = ("ui", "extras", "settings")
    labels = [label for room in rooms if (label := f"{room}.{values.get('field')}") in words.sentences]
    named = {"field": words.say(labels[0])} if labels else {}
    return words.say(f"errors.{key}", **{**values, **named})


def noted(key: str, values: Mapping[str, object], words: Words) -> str:
    """Return the sentence `key` of `notes.json`; where an `error` is among `values`, its sentence is the reason."""
    about = values.get("about")
    if isinstance(error := values.get("error"), str) and isinstance(about, Mapping):
        values = {**values, "reason": sentence(error, about, words)}
    return words.say(f"notes.{key}", **values)


def _key(name: str) -> str:
    return "easel_" + name.removeprefix("ui.")
