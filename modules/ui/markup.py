"""HTML made of elements: whatever is not an element already is text, and text is always escaped."""

from html import escape
from types import MappingProxyType


class Html(str):
    """A piece of finished HTML."""

    __slots__ = ()


def element(name: str, /, *children: str | None, **attributes: object) -> Html:
    """Return `<name attributes>children</name>`.

    Children that are not `Html` are escaped, None is left out. An attribute is escaped, left out when None or False,
    bare when True; underscores become dashes, and `cls` is the class.
    """
    words = [name]
    for attribute, value in attributes.items():
        label = "class" if attribute == "cls" else attribute.strip("_").replace("_", "-")
        if value is True:
            words.append(label)
        elif value is not None and value is not False:
            words.append(f'{label}="{escape(str(value))}"')
    opening = " ".join(words)
    if name in ("img", "input", "br"):
        return Html(f"<{opening}>")
    return Html(f"<{opening}>{joined(*children)}</{name}>")


def joined(*children: str | None) -> Html:
    """Return the children one after another, text escaped."""
    return Html("".join(each if isinstance(each, Html) else escape(each) for each in children if each is not None))


def icon(name: str) -> Html:
    """Return a 20 x 20 line drawing, hidden from screen readers: the button around it has the name."""
    return Html(
        '<svg class="icon" viewBox="0 0 20 20" aria-hidden="true" fill="none" stroke="currentColor" '
        f'stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round">{_DRAWINGS[name]}</svg>'
    )


_DRAWINGS = MappingProxyType(
    {
        "up": '<path d="M10 16V5M5 9.5 10 4.5l5 5"/>',
        "down": '<path d="M10 4v11M5 10.5l5 5 5-5"/>',
        "close": '<path d="m5 5 10 10M15 5 5 15"/>',
        "pause": '<path d="M7 4.5v11M13 4.5v11"/>',
        "play": '<path d="M6.5 4.5 15 10l-8.5 5.5z"/>',
        "stop": '<rect x="5" y="5" width="10" height="10" rx="1.5"/>',
        "retry": '<path d="M15.5 10a5.5 5.5 0 1 1-1.8-4.1M15.5 3.5v3.2h-3.2"/>',
        "download": '<path d="M10 3.5v9M6 9l4 4 4-4M4 16.5h12"/>',
        "expand": '<path d="M12 4h4v4M16 4l-5 5M8 16H4v-4M4 16l5-5"/>',
        "sparkles": '<path d="M8 4.500 9.400 8.100 13 9.500 9.400 10.900 8 14.500 6.600 10.900 3 9.500 6.600 8.100z"/>'
        '<path d="M14.500 3v3M13 4.500h3M15 13.500v3M13.500 15h3"/>',
        "copy": '<rect x="7" y="7" width="9" height="9" rx="1.5"/><path d="M13 4.5H5.5a1 1 0 0 0-1 1V13"/>',
        "seed": '<path d="M10 16.5V9M10 10C10 6.5 7.5 5 4 5c0 3.5 2 5 6 5ZM10 9c0-3 2-4.5 6-4.5 0 3-2 4.5-6 4.5Z"/>',
        "picture": '<rect x="3" y="4" width="14" height="12" rx="1.5"/><path d="m3.5 14 4-4 3 3 2.5-2.5 3.5 3.5"/>'
        '<circle cx="12.5" cy="7.5" r="1.2"/>',
        "trash": '<path d="M4 6h12M8 6V4h4v2M6 6l.7 10h6.6L14 6"/>',
        "check": '<rect x="3.5" y="3.5" width="13" height="13" rx="2.5"/><path d="m6.8 10.2 2.3 2.3 4.2-4.7"/>',
        "compare": '<rect x="3" y="4.5" width="14" height="11" rx="1.5"/><path d="M10 2.5v15"/>',
        "pencil": '<path d="m4 16 1-4 8.500-8.500 3 3L8 15zM11.500 5.500l3 3"/>',
        "keep": '<path d="M4 4h9.500L16 6.500V16H4zM7 4v4h5V4M7 16v-4.500h6V16"/>',
        "archive": '<path d="M3.500 4h13v3.500h-13zM4.500 7.500V16h11V7.500M8 10.500h4"/>',
        "plus": '<path d="M10 4.5v11M4.5 10h11"/>',
        "minus": '<path d="M4.5 10h11"/>',
        "left": '<path d="m12 5-5 5 5 5"/>',
        "right": '<path d="m8 5 5 5-5 5"/>',
        "info": '<circle cx="10" cy="10" r="7"/><path d="M10 9.2v4.3M10 6.4v.1"/>',
        "sort": '<path d="M6 15.500V4.500M3 7.500l3-3 3 3M14 4.500v11M11 12.500l3 3 3-3"/>',
    }
)
