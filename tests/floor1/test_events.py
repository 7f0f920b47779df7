"""Events travel as JSON and come back as what they were."""

import pytest

from modules.events import (
    EVENT,
    LAST_KINDS,
    Done,
    Event,
    Failed,
    Loading,
    Note,
    PictureDone,
    Preview,
    Queued,
    Started,
    Step,
    Stopped,
)

ALL: tuple[Event, ...] = (
    Queued(attempts=1),
    Started(worker="w", images=2, done=1),
    Loading(model="m"),
    Step(image=0, batch=1, images=2, step=3, steps=4),
    Preview(image=0, webp="AAAA"),
    PictureDone(image=0, picture=5, seed=2**64 - 1),
    Note(key="skipped", values={"first": 1}),
    Done(seconds=1.5),
    Stopped(),
    Failed(key="unexpected", values={"reason": "x"}, detail="d", set_aside=True),
)


@pytest.mark.parametrize("event", ALL, ids=lambda event: str(event.kind))
def test_event_survives_the_journey(event: Event) -> None:
    assert EVENT.validate_json(EVENT.dump_json(event)) == event


def test_every_kind_is_tried_and_the_last_ones_end_a_job() -> None:
    assert len({event.kind for event in ALL}) == len(ALL) == 10
    assert {"done", "stopped", "failed"} == LAST_KINDS
