"""Run by Alembic: applies the steps on the connection that `modules.library.database` hands over."""

from alembic import context

from modules.library.records import Base

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
