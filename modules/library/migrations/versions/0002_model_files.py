"""What is known of model files."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the database to this form."""
    op.create_table(
        "models",
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("path", sa.String(length=4096), nullable=False),
        sa.Column("mark", sa.String(length=64), nullable=False),
        sa.Column("rules", sa.String(length=255), nullable=False),
        sa.Column("family", sa.String(length=64), nullable=False),
        sa.Column("native_size", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("network_hash", sa.String(length=64), nullable=False),
        sa.Column("alias", sa.Text(), nullable=False),
        sa.Column("problem", sa.String(length=64), nullable=False),
        sa.Column("problem_values", sa.Text(), nullable=False),
        sa.Column("defaults", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "path"),
    )


def downgrade() -> None:
    """Bring the database back to the form before."""
    op.drop_table("models")
