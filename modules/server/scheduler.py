"""Which job is next: what was moved by hand, then priority, then fair share, then a model that is loaded already.

Fair share is start-time fair queueing (Goyal, Vin, Cheng 1996): a job's `turn` is the share its owner has used when
it is added, in units of work; the smallest turn goes first, so whoever has used least is next, and nobody saves up
credit while away. Within one owner's share, a job whose model is loaded may overtake the first one from at most
`LOOKAHEAD` - 1 places behind it in the order of adding, so nothing is overtaken for ever.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Exists, ScalarSelect, Select, Update, and_, case, exists, func, or_, select, true, update
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased
from sqlalchemy.orm.util import AliasedClass

from modules.library.records import JobRecord, StateRecord

LOOKAHEAD = 8
PAUSED = "paused"


def turn_for(session: Session, owner: str) -> float:
    """Return the turn of a job that `owner` adds now."""
    now = session.scalar(
        select(func.max(JobRecord.turn)).where(JobRecord.started.is_not(None), JobRecord.place.is_(None))
    )
    used = session.scalar(select(func.max(JobRecord.turn + JobRecord.work)).where(JobRecord.owner == owner))
    return max(now or 0.0, used or 0.0)


def in_order(job: type[JobRecord] | AliasedClass[JobRecord] = JobRecord) -> tuple[Any, ...]:
    """Return the ORDER BY of waiting jobs, but for the overtaking."""
    by_hand: InstrumentedAttribute[int | None] = job.place
    return case((by_hand.is_(None), 1), else_=0), by_hand, job.priority.desc(), job.turn, job.number


def claim(worker: str, loaded: str, lease: float, now: float) -> Update:
    """Return the one statement that takes the next job for `worker` and gives its record back, if there is one.

    `loaded` names the model the worker has in memory; `lease` is when the claim runs out, `now` the present time,
    both in seconds since 1970. A paused queue gives nothing.
    """
    return (
        update(JobRecord)
        .where(JobRecord.number == _next(loaded), JobRecord.status == "queued", ~_paused())
        .values(status="running", worker=worker, lease=lease, started=now, wish="")
        .returning(JobRecord)
        .execution_options(synchronize_session=False)
    )


def peek(loaded: str) -> Select[Any]:
    """Return the statement for the model of the job that `claim` would take now."""
    return select(JobRecord.model).where(JobRecord.number == _next(loaded), ~_paused())


def _paused() -> Exists:
    return exists().where(StateRecord.name == PAUSED, StateRecord.body == "1")


def _next(loaded: str) -> ScalarSelect[int]:
    """Return the number of the next job for a worker that has the model `loaded` in memory."""
    first = aliased(JobRecord)
    head = (
        select(first.number, first.owner, first.priority, first.place)
        .where(first.status == "queued")
        .order_by(*in_order(first))
        .limit(1)
        .subquery("head")
    )
    other = aliased(JobRecord)
    may_overtake = and_(
        other.model == loaded,
        other.owner == head.c.owner,
        other.priority == head.c.priority,
        other.place.is_(None),
        head.c.place.is_(None),
        other.number > head.c.number,
        other.number < head.c.number + LOOKAHEAD,
    )
    return (
        select(other.number)
        .join(head, true())
        .where(other.status == "queued", or_(other.number == head.c.number, may_overtake))
        .order_by(case((other.model == loaded, 0), else_=1), other.turn, other.number)
        .limit(1)
        .scalar_subquery()
    )


def foresee(waiting: Sequence[JobRecord], loaded: str) -> list[JobRecord]:
    """Return `waiting` (sorted by `in_order`) in the order the claims of one worker will take them."""
    rest = list(waiting)
    order: list[JobRecord] = []
    while rest:
        chosen = head = rest[0]
        if head.model != loaded and head.place is None:
            overtaking = [
                each
                for each in rest
                if each.model == loaded
                and (each.owner, each.priority, each.place) == (head.owner, head.priority, None)
                and head.number < each.number < head.number + LOOKAHEAD
            ]
            chosen = min(overtaking, key=lambda each: (each.turn, each.number), default=head)
        rest.remove(chosen)
        order.append(chosen)
        loaded = chosen.model
    return order
