"""A worker process under supervision: started, and started again when it dies."""

import contextlib
import multiprocessing
import queue
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from modules.errors import EaselError
from modules.server.messages import Adopt, Leave, Order, WorkerState
from modules.server.shift import Post, Shift
from modules.settings import Settings

_LONGEST_REST = 30.0  # seconds between attempts to start a worker that keeps dying
_FIRST_REST = 0.25


class Bell:
    """Wakes one thread that waits on pipes, from any other thread."""

    def __init__(self) -> None:
        self.reader, self._writer = multiprocessing.get_context("spawn").Pipe(duplex=False)
        self._rung = threading.Event()

    def ring(self) -> None:
        """Wake the thread; once is enough until it has heard."""
        if not self._rung.is_set():
            self._rung.set()
            with contextlib.suppress(OSError):  # closed: nobody listens any more
                self._writer.send_bytes(b".")

    def hush(self, ready: list[Any]) -> bool:
        """Say whether it has rung, by what `multiprocessing.connection.wait` returned, and take the ring away."""
        if self.reader not in ready:
            return False
        self._rung.clear()  # before the news is looked at: whatever comes from here on rings again
        self.reader.recv_bytes()
        return True

    def close(self) -> None:
        """Give its pipe back."""
        self.reader.close()
        self._writer.close()


class Board:
    """What a page may see of a worker; written by one thread, read by all."""

    def __init__(self, state: WorkerState) -> None:
        self.state = state

    def show(self, **changes: Any) -> None:
        """Change some of it."""
        self.state = replace(self.state, **changes)


class Supervisor:
    """Runs in a thread of its own and keeps one worker process alive."""

    def __init__(self, name: str, post: Post) -> None:
        self._post = post
        self._serving = post.settings
        self._lock = threading.Lock()
        self._board = Board(WorkerState(name, post.settings.device, "starting"))
        self._bell = Bell()
        self._ending = threading.Event()
        self._orders: queue.SimpleQueue[Order] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"supervisor of {name}", daemon=True)
        post.jobs.listen(self._bell.ring)

    @property
    def state(self) -> WorkerState:
        """The worker as it is now."""
        return self._board.state

    @property
    def serving(self) -> Settings:
        """The settings of the process that is at work."""
        return self._serving

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def order(self, order: Order) -> None:
        """Have the worker load or unload a model once it is free; a worker that is not there yet does so when it is."""
        self._orders.put(order)
        self._bell.ring()

    def adopt(self, now: Mapping[str, Any], later: Mapping[str, Any]) -> None:
        """Have the settings `now`, by name, hold from the next job on, and those of `later` in the next process."""
        with self._lock:
            self._serving = self._serving.model_copy(update=dict(now))
            settings = self._post.settings.model_copy(update={**now, **later})
            self._post = replace(self._post, settings=settings)
        if now:
            self.order(Adopt(dict(now)))

    def restart(self) -> None:
        """Have another process take over after the job at work, where it would have other settings."""
        if self._serving != self._post.settings:
            self.order(Leave())

    def end(self) -> None:
        """Ask the worker to end; its job goes back to the queue."""
        self._ending.set()
        self._bell.ring()

    def join(self) -> None:
        """Wait until it has ended."""
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        """Start one worker after the other; one that dies without having finished a job rests before the next."""
        deaths = 0
        while not self._ending.is_set():
            finished = 0
            with self._lock:
                post = self._post
                self._serving = post.settings
            shift = Shift(post, self._board, self._bell, self._orders, self._ending)
            try:
                finished = shift.serve()
            except (EaselError, SQLAlchemyError, OSError) as error:  # no room for a process or a record: try again
                self._board.show(stage="lost", detail=str(error))
            deaths = 0 if finished or shift.left else deaths + 1
            if deaths and not self._ending.is_set():
                self._ending.wait(min(_LONGEST_REST, _FIRST_REST * 2 ** (deaths - 1)))
        self._bell.close()
