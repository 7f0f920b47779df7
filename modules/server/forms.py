"""The last values of every form, kept per person, so that any device continues where another left off."""

import json
from typing import Any

from modules.library.database import Database
from modules.library.records import FormRecord


class Forms:
    """Loads and saves the values of a form by field name."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def load(self, owner: str, tab: str) -> dict[str, Any]:
        """Return the values last saved for `tab` by `owner`; empty when there are none."""
        with self._database.read() as session:
            record = session.get(FormRecord, (owner, tab))
            return {} if record is None else dict(json.loads(record.body))

    def update(self, owner: str, tab: str, values: dict[str, Any]) -> None:
        """Keep `values` (anything JSON can hold) beside those that are kept already."""
        with self._database.write() as session:
            record = session.get(FormRecord, (owner, tab))
            body = {**({} if record is None else json.loads(record.body)), **values}
            session.merge(FormRecord(owner=owner, tab=tab, body=json.dumps(body, ensure_ascii=False)))

    def save(self, owner: str, tab: str, values: dict[str, Any]) -> None:
        """Keep `values` (anything JSON can hold)."""
        with self._database.write() as session:
            session.merge(FormRecord(owner=owner, tab=tab, body=json.dumps(values, ensure_ascii=False)))
