"""The fields of a tab, keyed by the request field they fill: values travel by name, never by position."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import gradio as gr
from gradio.components import Component

from modules.plugins import Plugins
from modules.ui.page_words import PageWords


@dataclass(frozen=True)
class Field:
    """A field an extension adds to a tab, offered through the `fields` hook.

    `name` is "extension.field"; the value arrives as `request.extras[extension][field]`. `build` makes the Gradio
    component; it is given the page's texts, so that `words.of("Wildcards", ko="와일드카드")` labels it.
    """

    name: str
    build: Callable[[PageWords], Component]


@dataclass
class Form:
    """The components of one tab by request field: "part/field" in a part, "extension.field" for an extension's."""

    tab: str
    components: dict[str, Component] = field(default_factory=dict)

    def add(self, name: str, component: Component) -> None:
        """Take `component` in as the field `name`; its default value is the one it was made with."""
        if name in self.components:
            raise ValueError(f"the field {name} is there already")
        self.components[name] = component

    def defaults(self) -> dict[str, Any]:
        """Return the value of every field as a fresh page has it."""
        return {name: getattr(component, "value", None) for name, component in self.components.items()}

    def restored(self, kept: Mapping[str, Any]) -> dict[str, Any]:
        """Return a value for every field: the kept one where there is one, as the component's own type."""
        return {
            name: _suiting(self.components[name], kept[name]) if name in kept else value
            for name, value in self.defaults().items()
        }


def build_fields(form: Form, plugins: Plugins, words: PageWords) -> None:
    """Build the fields that extensions offer for the tab of `form` and add them to it.

    Raises `ExtensionError` when an offer is not a `Field` or a name is offered twice.
    """
    for name, offer in plugins.offered("fields", Field, tab=form.tab).items():
        form.add(name, offer.build(words))


def as_request(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a form in the shape of a request.

    "extension.field" becomes `extras`, "part/field" a field of a part. An empty seed means a random one.
    """
    asked: dict[str, Any] = {}
    extras: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        extension, dot, own = name.partition(".")
        if dot:
            extras.setdefault(extension, {})[own] = value
            continue
        *parts, last = name.split("/")
        if last == "seed" and str(value if value is not None else "").strip() == "":
            continue
        place = asked
        for part in parts:
            place = place.setdefault(part, {})
        place[last] = value
    return asked | ({"extras": extras} if extras else {})


def _suiting(component: Component, value: Any) -> Any:
    """A kept value may be text as a browser had it when its page closed; give numbers and switches back as such."""
    if isinstance(component, gr.Number) and isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None
    if isinstance(component, gr.Checkbox):
        return value in (True, "true", "on")
    return value
