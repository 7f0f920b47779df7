"""One file of styles: a table of A1111's columns, changed row by row; what else stands in it stays.

Columns are `name`, `prompt` (`text` in old files) and `negative_prompt`; others are kept. A row whose name begins with
`#` is a remark. Of two rows with one name the later one counts.
"""

import csv
import io
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from modules.errors import BadRequest, SaveError
from modules.images.files import save_text
from modules.prompts.styles import Style

COLUMNS = ("name", "prompt", "negative_prompt")
REMARK = "#"
LARGEST = 32 * 2**20  # bytes
_BOM = "\ufeff"


@dataclass
class Table:
    """The rows of a file as they stand in it, the first one naming the columns."""

    rows: list[list[str]]
    begins: str = _BOM  # what stands before the first row
    ends: str = "\r\n"  # of a row

    def styles(self) -> list[Style]:
        """Return the styles in it, in the order of its rows."""
        found = {style.name: style for row in self.rows[1:] if (style := self._style(row)) is not None}
        return list(found.values())

    def put(self, style: Style, was: str = "") -> None:
        """Write `style` in place of the one of its name, or of the one that `was` called otherwise, or at the end."""
        place = self._place(was or style.name)
        row = self.rows[place] if place else []
        for column, text in zip(COLUMNS, (style.name, style.prompt, style.negative_prompt), strict=True):
            at = self._column(column)
            row += [""] * (at + 1 - len(row))
            row[at] = text
        if not place:
            self.rows.append(row)

    def drop(self, name: str) -> None:
        """Take out every row of that name."""
        at = self._column("name")
        self.rows[1:] = [row for row in self.rows[1:] if at >= len(row) or row[at] != name]

    def _style(self, row: list[str]) -> Style | None:
        name, prompt, negative = (self._cell(row, column) for column in COLUMNS)
        return Style(name, prompt, negative) if name and not name.startswith(REMARK) else None

    def _cell(self, row: list[str], column: str) -> str:
        at = self._column(column, new=False)
        return row[at] if 0 <= at < len(row) else ""

    def _place(self, name: str) -> int:
        """Return the number of the row that counts for `name`; 0 when there is none."""
        every = (place for place, row in enumerate(self.rows) if place and self._cell(row, "name") == name)
        return max(every, default=0)

    def _column(self, name: str, new: bool = True) -> int:
        header = self.rows[0]
        wanted = "text" if name == "prompt" and "prompt" not in header and "text" in header else name
        if wanted in header:
            return header.index(wanted)
        if not new:
            return -1
        header.append(wanted)
        return len(header) - 1


def read_table(path: Path) -> Table:
    """Return the table at `path`, an empty one where there is no such file.

    Raises `BadRequest` for a file that is no table of styles: not in UTF-8, too large, or without a column `name`.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise BadRequest("styles_unreadable", file=path.name, reason=f"> {LARGEST // 2**20} MB")
        text = path.read_bytes().decode("utf-8")
        rows = list(csv.reader(io.StringIO(text.removeprefix(_BOM), newline="")))
    except FileNotFoundError:
        return Table([list(COLUMNS)])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadRequest("styles_unreadable", file=path.name, reason=reason) from error
    if not rows:
        return Table([list(COLUMNS)])
    if "name" not in rows[0]:
        raise BadRequest("styles_unreadable", file=path.name, reason="name, prompt, negative_prompt")
    ends = "\n" if text.find("\n") >= 0 and "\r\n" not in text else "\r\n"
    return Table(rows, _BOM if text.startswith(_BOM) else "", ends)


def change(path: Path, how: Callable[[Table], None]) -> None:
    """Change the table at `path`, whole or not at all; what it was stays beside it under `.bak`.

    Raises `BadRequest` for a file that cannot be read, `SaveError` when it cannot be written; nothing is lost then.
    """
    table = read_table(path)
    how(table)
    data = io.StringIO(newline="")
    csv.writer(data, lineterminator=table.ends).writerows(table.rows)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            shutil.copy2(path, path.with_name(f"{path.name}.bak"))
        save_text(table.begins + data.getvalue(), path)
    except (OSError, SaveError) as error:
        cause = error.__cause__ if isinstance(error, SaveError) else error
        raise SaveError(
            "styles_write", file=str(path), reason=getattr(cause, "strerror", None) or str(cause)
        ) from error
