"""The life of one worker process, seen from the server: jobs go in, events and pictures come out, until it ends."""

import contextlib
import multiprocessing
import queue
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Protocol

from modules.events import Loading, Note, Step
from modules.request import Request
from modules.server.claims import Claims, Taken
from modules.server.jobs import Jobs
from modules.server.messages import (
    Answered,
    Ended,
    EngineFactory,
    FromWorker,
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
    Wish,
    WorkerState,
)
from modules.server.recovery import Registry
from modules.server.worker import serve
from modules.settings import Settings

_LEAVE = 3.0  # seconds a worker gets to end by itself
_BEATS = 3  # heartbeats in a lease


@dataclass(frozen=True)
class Post:
    """What a worker's place in the house consists of.

    `settings.device` is the worker's own; `hello` is called when it is ready. After a person asked a job to stop, a
    worker that does not come back for `grace` seconds is killed.
    """

    settings: Settings
    factory: EngineFactory
    jobs: Jobs
    claims: Claims
    registry: Registry
    hello: Callable[[Hello], None]
    grace: float


class Showing(Protocol):
    """Where the worker's state is shown."""

    state: WorkerState

    def show(self, **changes: Any) -> None:
        """Change some of it."""
        ...


class Waking(Protocol):
    """What wakes the shift when there may be a new job or a wish."""

    reader: "Connection[Any, Any]"

    def hush(self, ready: list[Any]) -> bool:
        """Say whether it has rung, and take the ring away."""
        ...


class Shift:
    """One worker process, and the job in its hands."""

    def __init__(
        self,
        post: Post,
        board: Showing,
        bell: Waking,
        orders: "queue.SimpleQueue[Order]",
        ending: threading.Event,
    ) -> None:
        self._post = post
        self._board = board
        self._bell = bell
        self._orders = orders
        self._ending = ending
        context = multiprocessing.get_context("spawn")
        self._connection, self._theirs = context.Pipe()
        self._process = context.Process(
            target=serve, args=(self._theirs, post.settings, post.factory), name="easel-worker", daemon=True
        )
        self._worker = ""
        self._ready = False
        self.left = False  # whether it was asked to make room for another process
        self._job: Taken | None = None
        self._next = ""  # the model of the job after this one, as far as it was told
        self._made = 0
        self._finished = 0
        self._last_words: Unable | None = None
        self._beat = post.settings.lease_seconds / _BEATS
        self._renew_at = 0.0
        self._kill_at: float | None = None

    def serve(self) -> int:
        """Start, feed and watch the process until it is gone; return how many jobs it finished.

        Raises what the database or the system raise when they have no room; the process is gone then, too.
        """
        self._board.show(stage="starting", model="", resident=())
        self._process.start()
        try:
            self._theirs.close()
            self._board.show(pid=self._process.pid)
            self._worker = self._post.registry.enrol(self._process.pid or 0)
            while not self._ending.is_set():
                self._relay_orders()
                self._offer_job()
                ready = wait([self._connection, self._process.sentinel, self._bell.reader], self._patience())
                if self._bell.hush(ready):
                    self._relay_wish()
                    self._relay_next()
                if self._connection in ready:
                    if not self._receive():
                        break
                elif self._process.sentinel in ready:
                    break
                self._keep_time()
        finally:
            self._close()
        return self._finished

    def _patience(self) -> float:
        """How long to wait for news at most: to the next heartbeat, or to the moment to kill."""
        return self._beat if self._kill_at is None else max(0.0, min(self._beat, self._kill_at - time.monotonic()))

    def _offer_job(self) -> None:
        if not self._ready or self._job is not None:
            return
        self._post.claims.expire(self._post.registry.living())
        state = self._board.state
        self._job = self._post.claims.take(self._worker, state.name, state.model)
        if self._job is None:
            return
        self._made = 0
        self._kill_at = None
        self._renew_at = time.monotonic() + self._beat
        self._board.show(stage="busy")
        self._send(Take(self._job.id, self._job.task, self._job.done, self._job.made))
        self._next = self._job.model
        self._relay_next()

    def _relay_orders(self) -> None:
        """Pass on what a person wants loaded or unloaded; the worker does it before the job it gets after that."""
        while self._ready:
            try:
                order = self._orders.get_nowait()
            except queue.Empty:
                return
            self._send(order)
            if isinstance(order, Leave):
                self._ready, self.left = False, True  # it takes no further job
            elif isinstance(order, Load) and self._job is None:
                self._board.show(stage="loading", model=order.name)

    def _relay_next(self) -> None:
        """Tell the worker, once, which model the job after this one wants."""
        if self._job is None:
            return
        model = self._post.claims.next_model(self._job.model)
        if model and model != self._next:
            self._next = model
            self._send(Next(model))

    def _relay_wish(self) -> None:
        if self._job is None:
            return
        wish = self._post.claims.wish(self._worker, self._job.id)
        if wish:
            self._send(Wish(self._job.id, wish))
        if wish == "stop" and self._kill_at is None:
            self._kill_at = time.monotonic() + self._post.grace

    def _keep_time(self) -> None:
        """Prolong the lease when it is time, and kill a worker that was asked to stop too long ago."""
        now = time.monotonic()
        if self._kill_at is not None and now >= self._kill_at:
            self._process.kill()
            self._kill_at = None
        if self._job is not None and now >= self._renew_at:
            self._renew_at = now + self._beat
            if not self._post.claims.renew(self._worker, self._job.id):
                self._send(Wish(self._job.id, "stop"))  # another has it by now

    def _send(self, message: ToWorker) -> None:
        with contextlib.suppress(OSError):  # it is dying; the sentinel will say so
            self._connection.send(message)

    def _receive(self) -> bool:
        """Take one message from the pipe; False when the process is gone."""
        try:
            message: FromWorker = self._connection.recv()
        except (EOFError, OSError):
            return False
        if isinstance(message, Hello):
            self._ready = True
            self._board.show(stage="ready", device=message.device, detail="")
            self._post.hello(message)
        elif isinstance(message, Unable):
            self._last_words = message
        elif isinstance(message, Holding):
            last = message.models[-1].name if message.models else ""
            self._board.show(resident=message.models, model=last)
        elif isinstance(message, Answered):
            self._board.show(problem=message.problem)
            if self._job is None:
                self._board.show(stage="ready")
        elif self._job is not None and message.job == self._job.id:
            if isinstance(message, Told):
                self._told(message, self._job)
            elif isinstance(message, Saved):
                self._made += message.recipe.index >= 0
                self._post.claims.hand_in(
                    self._worker, self._job, message.path, message.recipe, message.infotext, message.size
                )
            else:
                self._ended(message, self._job)
        return True

    def _told(self, message: Told, job: Taken) -> None:
        event = message.event
        if isinstance(event, Note):
            self._post.claims.note(self._worker, job.id, event)
            return
        if isinstance(event, Loading):
            self._board.show(stage="loading", model=event.model)
        elif isinstance(event, Step) and self._board.state.stage != "busy":
            self._board.show(stage="busy")
        self._post.jobs.tell(job.id, event)

    def _ended(self, message: Ended, job: Taken) -> None:
        if message.outcome == "done":
            self._post.claims.finish(self._worker, job, self._made)
            if isinstance(job.task, Request):
                self._board.show(model=job.model)
        elif message.outcome == "stopped":
            self._post.claims.stopped(self._worker, job.id)
        else:
            self._post.claims.fail(self._worker, job.id, message.key, message.values, message.detail)
        self._finished += 1
        self._job = None
        self._kill_at = None
        self._board.show(stage="ready")

    def _close(self) -> None:
        """End the process if it lives, read what it had still said, and give its job back."""
        wanted = self._ending.is_set()
        if wanted:
            self._process.terminate()
            self._process.join(_LEAVE)
        self._process.kill()
        self._process.join()
        how = _ending(self._process.exitcode or 0)
        self._process.close()
        try:
            while self._connection.poll() and self._receive():
                pass
            if self._job is not None:
                self._post.claims.give_back(
                    self._worker, self._job.id, "" if wanted else "worker_lost", {"reason": how}
                )
        finally:
            self._connection.close()
            self._post.registry.strike(self._worker)
        if self.left and self._job is None:
            self._board.show(stage="starting")
        elif not wanted:
            self._board.show(stage="lost", detail=self._last_words.detail if self._last_words else how)


def _ending(code: int) -> str:
    """Say how a process ended: the signal's name or the exit status."""
    if code >= 0:
        return f"exit {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
