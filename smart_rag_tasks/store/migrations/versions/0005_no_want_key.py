"""What a chunk's metadata is to be cached by is worked out by the batch that reads its text.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.drop_column("chunks", "want_key")


def downgrade() -> None:
    op.add_column("chunks", sa.Column("want_key", sa.String(length=64), nullable=True))
