"""The last values of every form, kept per person, so that any device continues where another left off.

What a person keeps as a form's defaults lies beside them: a form that was never filled in, or was emptied, has these.
"""

import json
from collections.abc import Collection
from typing import Any

from sqlalchemy.orm import Session

from modules.library.database import Database
from modules.library.records import FormRecord

DEFAULTS = ":defaults"  # ends the name that a tab's defaults are kept under


class Forms:
    """Loads and saves the values of a form by field name."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def load(self, owner: str, tab: str) -> dict[str, Any]:
        """Return the values last saved for `tab` by `owner`, over the defaults; empty when there are neither."""
        with self._database.read() as session:
            return {**_body(session, owner, tab + DEFAULTS), **_body(session, owner, tab)}

    def defaults(self, owner: str, tab: str) -> dict[str, Any]:
        """Return what `owner` keeps as the defaults of `tab`; empty where Easel's own hold."""
        with self._database.read() as session:
            return _body(session, owner, tab + DEFAULTS)

    def keep_defaults(self, owner: str, tab: str, values: dict[str, Any]) -> None:
        """Keep `values` as the defaults of `tab`, in place of those that were."""
        self.save(owner, tab + DEFAULTS, values)

    def forget_defaults(self, owner: str, tab: str) -> None:
        """Let Easel's own defaults hold for `tab` again."""
        with self._database.write() as session:
            record = session.get(FormRecord, (owner, tab + DEFAULTS))
            if record is not None:
                session.delete(record)

    def empty(self, owner: str, tab: str, but: Collection[str] = ()) -> None:
        """Forget the values last saved for `tab`, all `but` these; the defaults show again."""
        with self._database.write() as session:
            kept = {name: value for name, value in _body(session, owner, tab).items() if name in but}
            session.merge(FormRecord(owner=owner, tab=tab, body=json.dumps(kept, ensure_ascii=False)))

    def update(self, owner: str, tab: str, values: dict[str, Any]) -> None:
        """Keep `values` (anything JSON can hold) beside those that are kept already."""
        with self._database.write() as session:
            body = {**_body(session, owner, tab), **values}
            session.merge(FormRecord(owner=owner, tab=tab, body=json.dumps(body, ensure_ascii=False)))

    def save(self, owner: str, tab: str, values: dict[str, Any]) -> None:
        """Keep `values` (anything JSON can hold)."""
        with self._database.write() as session:
            session.merge(FormRecord(owner=owner, tab=tab, body=json.dumps(values, ensure_ascii=False)))


def _body(session: Session, owner: str, tab: str) -> dict[str, Any]:
    record = session.get(FormRecord, (owner, tab))
    return {} if record is None else dict(json.loads(record.body))
