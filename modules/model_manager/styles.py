"""The styles there are: who reads their files, and changes them."""

import glob
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from modules.errors import BadRequest
from modules.model_manager.style_file import REMARK, change, read_table
from modules.prompts.styles import Style, applied, merged
from modules.request import PROMPT_LENGTH, STYLE_NAME, Request
from modules.settings import Settings

USUAL = "styles.csv"


class Styles:
    """The styles of every file of `settings.styles_file`, or of `styles.csv` in the data folder.

    Any number of threads may ask. A file that another program changes is read again.
    """

    def __init__(self, settings: Settings) -> None:
        self._patterns = settings.styles_file or (settings.data_dir / USUAL,)
        self._lock = threading.Lock()
        self._read: tuple[object, Mapping[str, tuple[Style, Path]]] = ((), {})

    def all(self) -> list[Style]:
        """Return the styles in the order of their files and rows; of two of one name the later one counts."""
        return [style for style, _ in self._known().values()]

    def files(self) -> dict[str, Path]:
        """Return the file of each style by its name."""
        return {name: path for name, (_, path) in self._known().items()}

    def paths(self) -> list[Path]:
        """Return the files that are read, and the one a new style goes into."""
        return list(dict.fromkeys([*self._paths(), self._first()]))

    @property
    def stamp(self) -> object:
        """What differs when a file has changed."""
        return [(path, *_stamp(path)) for path in self._paths()]

    def broken(self) -> list[BadRequest]:
        """Return why files of styles cannot be read, those that cannot."""
        faults = []
        for path in self._paths():
            try:
                read_table(path)
            except BadRequest as error:
                faults.append(error)
        return faults

    def find(self, names: Sequence[str]) -> list[Style]:
        """Return the styles of these names; raise `BadRequest` for one that is not there."""
        known = self._known()
        for name in names:
            if name not in known:
                allowed = ", ".join(known)
                raise BadRequest("style_unknown", value=name[:60], allowed=allowed[:1000] or "-")
        return [known[name][0] for name in names]

    def texts(self, names: Sequence[str]) -> list[tuple[str, str]]:
        """Return name and prompt of those of these styles that are there."""
        known = self._known()
        return [(name, known[name][0].prompt) for name in names if name in known]

    def around(self, names: Sequence[str], prompt: str, negative: bool = False) -> str:
        """Return a prompt, or a negative one, with those of these styles that are there."""
        known = self._known()
        for style in (known[name][0] for name in names if name in known):
            prompt = merged(style.negative_prompt if negative else style.prompt, prompt)
        return prompt

    def applied(self, request: Request) -> Request:
        """Return the request with its styles in its prompts, and no styles beside them.

        They go into the prompts of a second pass, too, where it has its own: an empty one is that of the first.

        Raises `BadRequest` for a style that is not there, and when a prompt becomes too long.
        """
        if not request.styles:
            return request
        styles, hires = self.find(request.styles), request.hires
        changed: dict[str, Any] = {**_with(styles, request.prompt, request.negative_prompt), "styles": ()}
        if hires is not None:
            own = _with(styles, hires.prompt, hires.negative_prompt, "hires_")
            said = {name: text for name, text in own.items() if getattr(hires, name)}
            changed["hires"] = hires.model_copy(update=said)
        return request.model_copy(update=changed)

    def save(self, style: Style, was: str = "") -> None:
        """Keep `style` in the file where it, or what it `was` called, stands; a new one in the first file.

        Raises `BadRequest` for a name that a style cannot have or that another one has, a text that is too long, and a
        file that cannot be read; `SaveError` when it cannot be written.
        """
        _check(style)
        with self._lock:
            files = self.files()
            if style.name in files and was != style.name:
                raise BadRequest("style_taken", value=style.name)
            change(files.get(was) or self._first(), lambda table: table.put(style, was if was in files else ""))

    def delete(self, name: str) -> None:
        """Take the style of that name out of every file; nothing happens when there is none."""
        with self._lock:
            for path in self._paths():
                if any(each.name == name for each in read_table(path).styles()):
                    change(path, lambda table: table.drop(name))

    def _known(self) -> Mapping[str, tuple[Style, Path]]:
        stamp = self.stamp
        seen, known = self._read
        if seen != stamp:
            known = {style.name: (style, path) for path in self._paths() for style in _styles(path)}
            self._read = (stamp, known)
        return known

    def _paths(self) -> Iterator[Path]:
        for pattern in self._patterns:
            if glob.has_magic(str(pattern)):
                yield from (Path(each) for each in sorted(glob.glob(str(pattern), recursive=True)))
            else:
                yield pattern

    def _first(self) -> Path:
        """Return the file a new style goes into: the first that is named, else the first that is found."""
        plain = [each for each in self._patterns if not glob.has_magic(str(each))]
        return next(iter([*plain, *self._paths()]), self._patterns[0].parent / USUAL)


def _styles(path: Path) -> list[Style]:
    try:
        return read_table(path).styles()
    except BadRequest:  # `broken` says so
        return []


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


def _check(style: Style) -> None:
    name = style.name
    if not name.strip() or len(name) > STYLE_NAME or name.startswith(REMARK) or not name.isprintable():
        raise BadRequest("style_name", value=name[:60], most=STYLE_NAME)
    for field, text in (("prompt", style.prompt), ("negative_prompt", style.negative_prompt)):
        if len(text) > PROMPT_LENGTH:
            raise BadRequest("prompt_length", field=field, length=len(text), most=PROMPT_LENGTH)
        if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
            raise BadRequest("prompt_characters", field=field)


def _with(styles: Sequence[Style], prompt: str, negative_prompt: str, begins: str = "") -> dict[str, str]:
    """Return both prompts with the styles, by their names; a refusal names them with what it `begins` with."""
    said = dict(zip(("prompt", "negative_prompt"), applied(styles, prompt, negative_prompt), strict=True))
    for field, text in said.items():
        if len(text) > PROMPT_LENGTH:
            raise BadRequest("prompt_length", field=f"{begins}{field}", length=len(text), most=PROMPT_LENGTH)
    return said
