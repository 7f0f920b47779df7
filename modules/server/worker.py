"""The worker process: makes the engine, then does one job after the other from its pipe."""

import json
import os
import queue
import signal
import threading
import traceback
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from modules.engine.report import Wanted
from modules.engine.threads import prepare_environment
from modules.errors import Cancelled, EaselError
from modules.events import CAPTIONED, HINT_MADE, Event, Note
from modules.images import infotext
from modules.images.files import PictureFiles, save_text
from modules.images.names import circumstances
from modules.model_manager.styles import Styles
from modules.request import Request
from modules.result import CAPTION, Picture
from modules.saving import Saving
from modules.server.grids import lay, wanted
from modules.server.messages import (
    Adopt,
    Answered,
    Ended,
    Engine,
    EngineFactory,
    Hello,
    Holding,
    Leave,
    Load,
    Next,
    Order,
    Saved,
    Take,
    Told,
    ToWorker,
    Unable,
    Unload,
)
from modules.server.views import Problem
from modules.settings import Settings
from modules.tasks import Detect, Extras, Interrogate


def serve(connection: Connection, settings: Settings, factory: EngineFactory) -> None:
    """Do the jobs that come over `connection` until it closes: the whole life of a worker process.

    Whatever goes wrong in a job ends that job, with the reason, and not the worker.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches the whole group; the server decides what it means
    prepare_environment()
    inbox = _Inbox(connection)
    files, styles = PictureFiles(settings.outputs, settings), Styles(settings)
    try:
        engine = factory(settings)
        hello = Hello(engine.offers(), str(engine.device))
    except Exception as error:  # noqa: BLE001 - whatever keeps the engine from starting is reported
        connection.send(Unable(*_sentence(error), traceback.format_exc()))
        return
    connection.send(hello)
    inbox.listen(engine.foresee)
    memory = _Memory(connection, engine)
    while True:
        task = inbox.next()
        if isinstance(task, Leave):
            return
        line = _Line(connection, inbox, task.job if isinstance(task, Take) else "", memory)
        try:
            answer = _do(task, engine, files, styles, line)
        except Exception as error:  # noqa: BLE001 - the job, or what a person wanted, fails with what it was
            answer = _failed(task, error)
        memory.tell()
        if answer is not None:
            connection.send(answer)


def _do(
    task: Take | Load | Unload | Adopt, engine: Engine, files: PictureFiles, styles: Styles, line: "_Line"
) -> Ended | Answered | None:
    """Do a job, or load or unload what a person asked for, or let settings hold."""
    if isinstance(task, Load):
        engine.load(task.name)
        return Answered()
    if isinstance(task, Unload):
        engine.unload(task.name)
        return Answered()
    if isinstance(task, Adopt):
        engine.adopt(task.values)
        files.adopt(task.values)
        return None
    if isinstance(task.task, Request):
        at = circumstances(task.task, styles.texts(task.task.styles))
        save = partial(files.save, at=at)
        paths, recipe = dict(task.made), None
        for picture, path in engine.generate(task.task, line, save, task.job, task.done):
            line.hand_in(picture, path)
            paths[picture.recipe.index], recipe = path, picture.recipe
        if wanted(files.saving, paths):
            _lay(lay(task.task, recipe, paths, files, at), files.saving, line)
    elif isinstance(task.task, Extras):
        for picture, path in engine.process(task.task, line, partial(_save_extra, files), task.job, task.done):
            line.hand_in(picture, path)
    elif isinstance(task.task, Detect):
        line.tell(Note(key=HINT_MADE, values={"picture": engine.detect(task.task, line)}))
    elif isinstance(task.task, Interrogate):
        line.tell(Note(key=CAPTIONED, values={"caption": engine.interrogate(task.task, line)}))
    else:
        made = engine.make_file(task.task, line)
        line.tell(Note(key="file_made", values={"name": made.name}))
    return Ended(task.job, "done")


def _save_extra(files: PictureFiles, picture: Picture, name: str) -> Path:
    """Save a picture, and its caption beside it, as programs that train want it."""
    path = files.save(picture, "extras", name)
    if caption := picture.recipe.postprocessing.get(CAPTION):
        save_text(caption, path.with_suffix(".txt"))
    return path


def _lay(laid: tuple[Picture, Path] | Note, saving: Saving, line: "_Line") -> None:
    if isinstance(laid, Note):
        line.tell(laid)
    elif saving.return_grid:
        line.hand_in(*laid)


def _failed(task: Take | Order, error: Exception) -> Ended | Answered:
    key, values = _sentence(error)
    detail = "".join(traceback.format_exception(error))
    if not isinstance(task, Take):
        return Answered(Problem(key, values, detail))
    if isinstance(error, Cancelled):
        return Ended(task.job, "stopped")
    return Ended(task.job, "failed", key, values, detail)


class _Memory:
    """Tells the server what is in memory, whenever that has changed."""

    def __init__(self, connection: Connection, engine: Engine) -> None:
        self._connection = connection
        self._engine = engine
        self._told = Holding(())

    def tell(self) -> None:
        now = Holding(self._engine.resident())
        if now != self._told:
            self._told = now
            self._connection.send(now)


class _Inbox:
    """Reads the pipe in a thread of its own, so that wishes arrive while a picture is made.

    When the server is gone the process ends at once: nobody would record what it makes, and a server started anew
    gives the job to another worker.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._tasks: queue.SimpleQueue[Take | Order] = queue.SimpleQueue()
        self._foresee: Callable[[str], None] | None = None
        self._lock = threading.Lock()
        self._wishes: dict[str, Wanted] = {}
        threading.Thread(target=self._read, name="inbox", daemon=True).start()

    def listen(self, foresee: Callable[[str], None]) -> None:
        """Call `foresee` with the model of the job after the present one, in a thread of its own."""
        self._foresee = foresee

    def next(self) -> Take | Order:
        """Wait for the next job or order."""
        return self._tasks.get()

    def wanted(self, job: str) -> Wanted:
        """Return what a person wants of `job`; a wish to skip is told once."""
        with self._lock:
            wish = self._wishes.get(job, "go")
            if wish == "skip":
                del self._wishes[job]
            return wish

    def _read(self) -> None:
        while True:
            try:
                message: ToWorker = self._connection.recv()
            except (EOFError, OSError):
                os._exit(0)
            if isinstance(message, Take):
                with self._lock:
                    self._wishes.clear()
                self._tasks.put(message)
            elif isinstance(message, Order):
                self._tasks.put(message)
            elif isinstance(message, Next):
                if self._foresee is not None:
                    threading.Thread(target=self._foresee, args=(message.name,), name="reader", daemon=True).start()
            else:
                with self._lock:
                    self._wishes[message.job] = message.wish


class _Line:
    """The engine's report: events go over the pipe, wishes come from the inbox."""

    def __init__(self, connection: Connection, inbox: _Inbox, job: str, memory: _Memory) -> None:
        self._connection = connection
        self._inbox = inbox
        self._job = job
        self._memory = memory

    def tell(self, event: Event) -> None:
        self._memory.tell()
        self._connection.send(Told(self._job, event))

    def hand_in(self, picture: Picture, path: Path) -> None:
        """Tell that a picture is a complete file."""
        recipe = picture.recipe
        self._connection.send(Saved(self._job, path, recipe, infotext.write(recipe), _size(picture)))

    def wanted(self) -> Wanted:
        return self._inbox.wanted(self._job)


def _size(picture: Picture) -> tuple[int, int]:
    return picture.image.width, picture.image.height


def _sentence(error: Exception) -> tuple[str, dict[str, Any]]:
    """Return key and values of the sentence that reports `error`, the values as JSON holds them."""
    if isinstance(error, EaselError):
        return error.key, dict(json.loads(json.dumps(dict(error.values), default=str)))
    return "unexpected", {"reason": f"{type(error).__name__}: {error}"[:500]}
