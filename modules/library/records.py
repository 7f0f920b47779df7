"""The tables. Times are seconds since 1970; whatever may pass 2^63 (seeds) is text or JSON."""

from sqlalchemy import BigInteger, Float, ForeignKey, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SEARCHED = "pictures_searched"  # the index that searches read


class Base(DeclarativeBase):
    """All tables."""


class JobRecord(Base):
    """One job: what was asked, where it stands in the queue, and what became of it."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("jobs_in_order", "status", "priority", "turn"),
        Index("jobs_of_owner", "owner", "turn"),
        Index("jobs_of_model", "model", "finished"),
        {"sqlite_autoincrement": True},
    )

    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String(32), unique=True)
    owner: Mapped[str] = mapped_column(String(255))
    origin: Mapped[str] = mapped_column(String(255), default="")
    request: Mapped[str] = mapped_column(Text)  # Request as JSON
    model: Mapped[str] = mapped_column(String(255), default="")
    images: Mapped[int] = mapped_column(Integer)
    work: Mapped[float] = mapped_column(Float)  # pixels x steps x images
    priority: Mapped[int] = mapped_column(Integer, default=0)
    turn: Mapped[float] = mapped_column(Float)  # fair-share start tag, in units of work
    place: Mapped[int | None] = mapped_column(Integer, default=None)  # given by hand; before all that have none
    status: Mapped[str] = mapped_column(String(16))
    attempts: Mapped[int] = mapped_column(Integer, default=0)  # deaths of its worker since it last made a picture
    worker: Mapped[str] = mapped_column(String(255), default="")
    lease: Mapped[float | None] = mapped_column(Float, default=None)
    wish: Mapped[str] = mapped_column(String(8), default="")  # "", "skip" or "stop"
    created: Mapped[float] = mapped_column(Float)
    started: Mapped[float | None] = mapped_column(Float, default=None)
    finished: Mapped[float | None] = mapped_column(Float, default=None)
    rate: Mapped[float | None] = mapped_column(Float, default=None)  # seconds per unit of work, once it is done
    notes: Mapped[str] = mapped_column(Text, default="[]")  # [[key, values], ...]
    error: Mapped[str] = mapped_column(Text, default="")  # [key, values, detail], empty when there was none


class EventRecord(Base):
    """One durable event of a job."""

    __tablename__ = "events"

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    job: Mapped[str] = mapped_column(String(32), index=True)
    kind: Mapped[str] = mapped_column(String(16))
    body: Mapped[str] = mapped_column(Text)
    created: Mapped[float] = mapped_column(Float)


class PictureRecord(Base):
    """One picture file and how it was made."""

    __tablename__ = "pictures"
    __table_args__ = (
        UniqueConstraint("job", "place", name="pictures_once_per_job"),
        # Holds whatever a search asks for but its words, so that no search reads the long texts of every row.
        Index(SEARCHED, "id", "trashed", "model", "sampler", "width", "height", "owner", "rating", "created"),
        Index("pictures_offered", "model", "sampler", "width", "height", "owner", "trashed"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    job: Mapped[str | None] = mapped_column(String(64), default=None)  # None when made outside the queue
    place: Mapped[int] = mapped_column(Integer)  # which picture of the job, from 0
    path: Mapped[str] = mapped_column(String(1024), unique=True)  # from the outputs folder, with forward slashes
    recipe: Mapped[str] = mapped_column(Text)
    infotext: Mapped[str] = mapped_column(Text)
    created: Mapped[float] = mapped_column(Float, index=True)
    width: Mapped[int] = mapped_column(Integer)
    height: Mapped[int] = mapped_column(Integer)
    owner: Mapped[str] = mapped_column(String(255), index=True)
    words: Mapped[str] = mapped_column(Text, default="")  # what plain words find it by
    model: Mapped[str] = mapped_column(String(255), default="")
    sampler: Mapped[str] = mapped_column(String(255), default="")
    rating: Mapped[int] = mapped_column(Integer, default=0)  # stars, 0 to 5
    trashed: Mapped[float | None] = mapped_column(Float, default=None)  # when it went into the trash; None: it did not
    home: Mapped[str] = mapped_column(String(1024), default="")  # the path it had before, while it is in the trash


class TagRecord(Base):
    """A word a person gave to a picture."""

    __tablename__ = "picture_tags"

    picture: Mapped[int] = mapped_column(ForeignKey("pictures.id", ondelete="CASCADE"), primary_key=True)
    tag: Mapped[str] = mapped_column(String(64), primary_key=True, index=True)


class FormRecord(Base):
    """The last values of one form of one person."""

    __tablename__ = "forms"

    owner: Mapped[str] = mapped_column(String(255), primary_key=True)
    tab: Mapped[str] = mapped_column(String(255), primary_key=True)
    body: Mapped[str] = mapped_column(Text)


class StateRecord(Base):
    """A named fact about the whole server: paused, the reserved event numbers."""

    __tablename__ = "state"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    body: Mapped[str] = mapped_column(Text)


class ProcessRecord(Base):
    """A process of Easel at work on this database: the server or one of its workers."""

    __tablename__ = "processes"

    name: Mapped[str] = mapped_column(String(255), primary_key=True)
    server: Mapped[str] = mapped_column(String(255))  # the server's name; the same as `name` for the server itself
    host: Mapped[str] = mapped_column(String(255))
    pid: Mapped[int] = mapped_column(Integer)
    born: Mapped[float] = mapped_column(Float)  # when the system started it: a pid alone may be another's by now


class ModelRecord(Base):
    """What is known of a model file, as long as its `mark` (size and time of change) is the same."""

    __tablename__ = "models"

    kind: Mapped[str] = mapped_column(String(32), primary_key=True)
    path: Mapped[str] = mapped_column(String(4096), primary_key=True)
    mark: Mapped[str] = mapped_column(String(64))
    rules: Mapped[str] = mapped_column(String(255))  # what it was examined by; other rules examine it again
    family: Mapped[str] = mapped_column(String(64))
    native_size: Mapped[int] = mapped_column(Integer)
    sha256: Mapped[str] = mapped_column(String(64))  # empty until it was worked out
    network_hash: Mapped[str] = mapped_column(String(64))
    alias: Mapped[str] = mapped_column(Text)
    problem: Mapped[str] = mapped_column(String(64))  # a key of errors.json
    problem_values: Mapped[str] = mapped_column(Text)  # JSON
    defaults: Mapped[str] = mapped_column(Text)  # JSON, empty when it states none
