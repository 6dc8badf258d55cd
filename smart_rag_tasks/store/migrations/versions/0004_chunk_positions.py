"""A document's chunks in order, page by page, without sorting all of them for each page.

Revision ID: 0004
Revises: 0003
"""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_index("chunks_position", "chunks", ["document_id", "position"], unique=False)


def downgrade() -> None:
    op.drop_index("chunks_position", table_name="chunks")
