"""What pictures are searched by: columns, words, tags; and the trash."""

import json
import unicodedata

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

AT_ONCE = 1000  # rows
PICTURES = sa.table(
    "pictures",
    sa.column("id", sa.Integer),
    sa.column("path", sa.String),
    sa.column("recipe", sa.Text),
    sa.column("words", sa.Text),
    sa.column("model", sa.String),
    sa.column("sampler", sa.String),
)
# Full-text search of SQLite. It keeps the words of `pictures` no second time, and these triggers keep it up to date.
FULL_TEXT = (
    "CREATE VIRTUAL TABLE pictures_words USING fts5(words, content='pictures', content_rowid='id', detail=none,"
    " prefix='1 2 3', tokenize='unicode61 remove_diacritics 2')",
    "CREATE TRIGGER pictures_words_added AFTER INSERT ON pictures BEGIN"
    " INSERT INTO pictures_words(rowid, words) VALUES (new.id, new.words); END",
    "CREATE TRIGGER pictures_words_removed AFTER DELETE ON pictures BEGIN"
    " INSERT INTO pictures_words(pictures_words, rowid, words) VALUES ('delete', old.id, old.words); END",
    "CREATE TRIGGER pictures_words_changed AFTER UPDATE OF words ON pictures BEGIN"
    " INSERT INTO pictures_words(pictures_words, rowid, words) VALUES ('delete', old.id, old.words);"
    " INSERT INTO pictures_words(rowid, words) VALUES (new.id, new.words); END",
)


def upgrade() -> None:
    """Bring the database to this form."""
    with op.batch_alter_table("pictures", schema=None) as batch_op:
        batch_op.add_column(sa.Column("words", sa.Text(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("model", sa.String(length=255), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("sampler", sa.String(length=255), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("rating", sa.Integer(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("trashed", sa.Float(), nullable=True))
        batch_op.add_column(sa.Column("home", sa.String(length=1024), nullable=False, server_default=""))
    _fill()
    with op.batch_alter_table("pictures", schema=None) as batch_op:
        offered = ["model", "sampler", "width", "height", "owner", "trashed"]
        searched = ["id", "trashed", "model", "sampler", "width", "height", "owner", "rating", "created"]
        batch_op.create_index("pictures_offered", offered, unique=False)
        batch_op.create_index("pictures_searched", searched, unique=False)
    op.create_table(
        "picture_tags",
        sa.Column("picture", sa.Integer(), nullable=False),
        sa.Column("tag", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["picture"], ["pictures.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("picture", "tag"),
    )
    with op.batch_alter_table("picture_tags", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_picture_tags_tag"), ["tag"], unique=False)
    if _has_full_text():
        for statement in FULL_TEXT:
            op.execute(statement)
        op.execute("INSERT INTO pictures_words(pictures_words) VALUES ('rebuild')")


def _fill() -> None:
    """Give the rows that are there what they are searched by, from their recipes."""
    connection = op.get_bind()
    after = 0
    while rows := connection.execute(
        sa.select(PICTURES.c.id, PICTURES.c.path, PICTURES.c.recipe)
        .where(PICTURES.c.id > after)
        .order_by(PICTURES.c.id)
        .limit(AT_ONCE)
    ).all():
        after = rows[-1].id
        statement = (
            sa.update(PICTURES)
            .where(PICTURES.c.id == sa.bindparam("of"))
            .values({name: sa.bindparam(f"new_{name}") for name in ("words", "model", "sampler")})
        )
        connection.execute(statement, [_found_by(*row) for row in rows])


def _found_by(id: int, path: str, recipe: str) -> dict[str, object]:
    try:
        told = json.loads(recipe)
    except ValueError:
        told = {}
    told = told if isinstance(told, dict) else {}
    prompt, model, sampler, seed = (str(told.get(name, "")) for name in ("prompt", "model", "sampler", "seed"))
    words = unicodedata.normalize("NFC", "\n".join((prompt, model, seed, path.rpartition("/")[2])))
    return {"of": id, "new_words": words, "new_model": model[:255], "new_sampler": sampler[:255]}


def _has_full_text() -> bool:
    connection = op.get_bind()
    if connection.dialect.name != "sqlite":
        return False
    options = connection.exec_driver_sql("PRAGMA compile_options").scalars()
    return "ENABLE_FTS5" in set(options)


def downgrade() -> None:
    """Bring the database back to the form before."""
    if _has_full_text():
        for name in ("added", "removed", "changed"):
            op.execute(f"DROP TRIGGER IF EXISTS pictures_words_{name}")
        op.execute("DROP TABLE IF EXISTS pictures_words")
    op.drop_table("picture_tags")
    with op.batch_alter_table("pictures", schema=None) as batch_op:
        batch_op.drop_index("pictures_searched")
        batch_op.drop_index("pictures_offered")
        for name in ("home", "trashed", "rating", "sampler", "model", "words"):
            batch_op.drop_column(name)
