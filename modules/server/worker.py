"""The worker process: makes the engine, then does one job after the other from its pipe."""

import json
import os
import queue
import signal
import threading
import traceback
from multiprocessing.connection import Connection
from typing import Any

from modules.engine.report import Wanted
from modules.engine.threads import prepare_environment
from modules.errors import Cancelled, EaselError
from modules.events import Event
from modules.images import infotext
from modules.images.files import PictureFiles
from modules.result import Picture
from modules.server.messages import Ended, EngineFactory, Hello, Saved, Take, Told, ToWorker, Unable
from modules.settings import Settings


def serve(connection: Connection, settings: Settings, factory: EngineFactory) -> None:
    """Do the jobs that come over `connection` until it closes: the whole life of a worker process.

    Whatever goes wrong in a job ends that job, with the reason, and not the worker.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C reaches the whole group; the server decides what it means
    prepare_environment()
    inbox = _Inbox(connection)
    files = PictureFiles(settings.outputs)
    try:
        engine = factory(settings)
        hello = Hello(engine.offers(), str(engine.device))
    except Exception as error:  # noqa: BLE001 - whatever keeps the engine from starting is reported
        connection.send(Unable(*_sentence(error), traceback.format_exc()))
        return
    connection.send(hello)
    while True:
        take = inbox.next()
        line = _Line(connection, inbox, take.job)
        try:
            for picture, path in engine.generate(take.request, line, files.save, take.job, take.done):
                recipe = picture.recipe
                connection.send(Saved(take.job, path, recipe, infotext.write(recipe), _size(picture)))
            ended = Ended(take.job, "done")
        except Cancelled:
            ended = Ended(take.job, "stopped")
        except Exception as error:  # noqa: BLE001 - the job fails with what it was
            ended = Ended(take.job, "failed", *_sentence(error), traceback.format_exc())
        connection.send(ended)


class _Inbox:
    """Reads the pipe in a thread of its own, so that wishes arrive while a picture is made.

    When the server is gone the process ends at once: nobody would record what it makes, and a server started anew
    gives the job to another worker.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._jobs: queue.SimpleQueue[Take] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._wishes: dict[str, Wanted] = {}
        threading.Thread(target=self._read, name="inbox", daemon=True).start()

    def next(self) -> Take:
        """Wait for the next job."""
        return self._jobs.get()

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
                self._jobs.put(message)
            else:
                with self._lock:
                    self._wishes[message.job] = message.wish


class _Line:
    """The engine's report: events go over the pipe, wishes come from the inbox."""

    def __init__(self, connection: Connection, inbox: _Inbox, job: str) -> None:
        self._connection = connection
        self._inbox = inbox
        self._job = job

    def tell(self, event: Event) -> None:
        self._connection.send(Told(self._job, event))

    def wanted(self) -> Wanted:
        return self._inbox.wanted(self._job)


def _size(picture: Picture) -> tuple[int, int]:
    return picture.image.width, picture.image.height


def _sentence(error: Exception) -> tuple[str, dict[str, Any]]:
    """Return key and values of the sentence that reports `error`, the values as JSON holds them."""
    if isinstance(error, EaselError):
        return error.key, dict(json.loads(json.dumps(dict(error.values), default=str)))
    return "unexpected", {"reason": f"{type(error).__name__}: {error}"[:500]}
