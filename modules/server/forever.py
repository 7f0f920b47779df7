"""Generating forever: when the jobs of a form have ended, the next ones are added, until somebody stops it.

The server does it, and not a page: a page that is reloaded or put to sleep would lose it, and two pages would each add
jobs. There is never more in the queue than what one click on Generate puts there.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from modules.errors import EaselError
from modules.server.jobs import Jobs

LOOK = 0.3  # seconds between two looks at the jobs
MEND = 2.0  # seconds until a form that was not all right is tried again

Again = Callable[[], Sequence[str]]  # adds the jobs of the form as it is now, and returns their ids


@dataclass(frozen=True)
class Round:
    """What goes on for one owner: the tab whose form it is, and the jobs of this round."""

    tab: str
    jobs: tuple[str, ...]
    ended: int = 0  # jobs of the rounds before
    problem: EaselError | None = None  # why the next round has not begun: the form is not all right at the moment


class Forever:
    """Who generates forever; one form for each owner. Nobody does after a restart."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._lock = threading.Lock()
        self._rounds: dict[str, tuple[Round, Again]] = {}
        self._news = threading.Event()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, owner: str, tab: str, jobs: Sequence[str], again: Again) -> None:
        """Go on with `again` whenever the `jobs` just added have all ended well.

        It ends by itself when one of them is stopped (by Interrupt, in the queue, by anybody) or fails. While `again`
        raises an `EaselError`, somebody is writing in the form: it is tried again, and `of` says why it waits.
        """
        with self._lock:
            self._rounds[owner] = (Round(tab, tuple(jobs)), again)
            if self._thread is None and not self._ending.is_set():
                self._thread = threading.Thread(target=self._run, name="generating forever", daemon=True)
                self._thread.start()
        self._news.set()

    def end(self, owner: str) -> None:
        """Add nothing any more; what is in the queue is finished."""
        with self._lock:
            self._rounds.pop(owner, None)

    def of(self, owner: str) -> Round | None:
        """Return what goes on for `owner`; None when nothing does."""
        with self._lock:
            found = self._rounds.get(owner)
        return None if found is None else found[0]

    def close(self) -> None:
        """End for good."""
        with self._lock:
            self._ending.set()
            self._rounds.clear()
            thread = self._thread
        self._news.set()
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while not self._ending.is_set():
            with self._lock:
                going = dict(self._rounds)
                if not going:
                    self._news.clear()
            if not going:
                self._news.wait()
                continue
            for owner, (now, again) in going.items():
                self._look(owner, now, again)
            problems = any(now.problem is not None for now, _ in going.values())
            self._ending.wait(MEND if problems else LOOK)

    def _look(self, owner: str, now: Round, again: Again) -> None:
        found = [self._jobs.get(id) for id in now.jobs]
        states = [job.status if job is not None else "done" for job in found]
        if any(state in ("stopped", "failed", "set_aside") for state in states):
            self._put(owner, now, None)
        elif all(state == "done" for state in states):
            try:
                jobs = tuple(again())
            except EaselError as error:
                self._put(owner, now, (replace(now, problem=error), again))
                return
            after = Round(now.tab, jobs, now.ended + len(now.jobs))
            if not self._put(owner, now, (after, again)):  # it was ended meanwhile
                for id in jobs:
                    self._jobs.cancel(id)

    def _put(self, owner: str, before: Round, after: tuple[Round, Again] | None) -> bool:
        """Go on with `after` where it is still at `before`; say whether it was."""
        with self._lock:
            found = self._rounds.get(owner)
            if found is None or found[0] is not before:
                return False
            if after is None:
                del self._rounds[owner]
            else:
                self._rounds[owner] = after
            return True
