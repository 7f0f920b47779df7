"""`generate`: the same engine as behind the page, in this process, with a progress bar."""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from modules.commands.rooms import builtins
from modules.commands.target import target
from modules.engine.threads import prepare_environment
from modules.errors import BadRequest
from modules.events import Event, Loading, Note, Step
from modules.images.names import circumstances
from modules.library.database import Database, join
from modules.model_manager.catalog import Catalog
from modules.model_manager.styles import Styles
from modules.offers import gather
from modules.plugins import Plugins, make_plugins
from modules.request import Request, make_request
from modules.settings import Settings
from modules.words import Words


def generate(asked: argparse.Namespace, settings: Settings, words: Words, say: Callable[[str], None]) -> int:
    """Make the pictures that were asked for and print where each went.

    Raises `BadRequest` and `UnknownModel` before anything is made, and whatever `Engine.generate` raises.
    """
    console = Console(stderr=True, highlight=False)
    plugins = make_plugins("engine", builtins("engine"), settings.extensions)
    for extension in plugins.extensions:
        if extension.problem:
            console.print(words.say("cli.extension_left_out", name=extension.name), style="yellow")
    database = join(settings.database_url) or Database(settings.database_url)  # where hashes are kept
    catalog = Catalog(settings, database=database)
    request = gather(plugins).settle(make_request(requested(vars(asked), plugins))).with_seed()
    catalog.find(request.model)
    styles = Styles(settings)
    styles.applied(request)  # says what is amiss before anything is loaded
    save = target(
        getattr(asked, "output", ""), settings.outputs, settings, circumstances(request, styles.texts(request.styles))
    )
    # One device, and nobody watches previews here.
    alone = settings.model_copy(update={"device": settings.device.split(",")[0], "preview_every": 0})
    prepare_environment()
    with console.status(words.say("cli.starting")):
        from modules.engine.engine import Engine  # torch comes in here

        engine = Engine(alone, plugins, catalog)
    with ProgressReport(request, words, console) as report:
        for _, path in engine.generate(request, report, save):
            if sys.stdout.isatty():  # above the bar, which lives on the same terminal
                console.print(words.say("cli.saved", path=path), style="green", soft_wrap=True)
            else:
                say(str(path))
    return 0


def requested(asked: Mapping[str, Any], plugins: Plugins) -> dict[str, Any]:
    """Return the values of a request out of the command line; raise `BadRequest` for what cannot be one."""
    values = {name: value for name, value in asked.items() if name in Request.model_fields}
    if "prompt_file" in asked:
        if "prompt" in asked:
            raise BadRequest("two_prompts")
        values["prompt"] = _read(asked["prompt_file"])
    if "extras" in asked:
        values["extras"] = _extras(asked["extras"], [each.name for each in plugins.extensions])
    return values


def _read(file: str) -> str:
    """Read a prompt from a file, "-" being the standard input; the line break at its end is not part of it."""
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return data.decode("utf-8-sig").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest("prompt_file", file=file, reason=getattr(error, "strerror", "") or str(error)) from error


def _extras(given: list[str], extensions: list[str]) -> dict[str, dict[str, Any]]:
    """Read `extension.field=value` pairs; a value is JSON where it can be read as such, text otherwise."""
    extras: dict[str, dict[str, Any]] = {}
    for pair in given:
        path, equals, text = pair.partition("=")
        extension, dot, field = path.rpartition(".")
        if not (equals and dot and extension and field):
            raise BadRequest("set_form", value=pair[:60])
        if extension not in extensions:
            raise BadRequest("unknown_extension", value=extension[:60], allowed=", ".join(extensions) or "-")
        try:
            extras.setdefault(extension, {})[field] = json.loads(text)
        except ValueError:
            extras.setdefault(extension, {})[field] = text
    return extras


class ProgressReport:
    """The engine's report, shown as a bar on the standard error output."""

    def __init__(self, request: Request, words: Words, console: Console) -> None:
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            redirect_stdout=False,  # the paths go to whoever reads the standard output
        )
        self._words = words
        self._steps = self.bar.add_task(self._picture(0, request.images), total=request.steps * request.batch_count)
        self._per_batch = request.steps
        self._batch_size = request.batch_size

    def __enter__(self) -> "ProgressReport":
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def wanted(self) -> Literal["go"]:
        """Nothing stops a picture here but Ctrl+C, which interrupts the process itself."""
        return "go"

    def tell(self, event: Event) -> None:
        """Show an event."""
        if isinstance(event, Loading):
            self.bar.update(self._steps, description=self._words.say("cli.loading", model=event.model))
        elif isinstance(event, Step):
            share = event.step / event.steps  # a sampler may need more or fewer network calls than steps were asked for
            done = (event.image // self._batch_size + share) * self._per_batch
            self.bar.update(self._steps, description=self._picture(event.image, event.images), completed=round(done))
        elif isinstance(event, Note):
            self.bar.console.print(self._words.say(f"notes.{event.key}", **event.values))

    def _picture(self, image: int, images: int) -> str:
        return self._words.say("cli.picture", image=image + 1, images=images)
