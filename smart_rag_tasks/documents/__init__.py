"""Files become chunks: :func:`parse_file` reads one, :func:`find_files` finds them.

Importing this is cheap: the splitter is imported by the first file that is split, kreuzberg never (it lives in
a process of its own, see :mod:`.isolation`). What the chunks are for is other floors' business.
"""

from .files import SUPPORTED_SUFFIXES, document_id_for, find_files
from .parse import parse_file

__all__ = ["SUPPORTED_SUFFIXES", "document_id_for", "find_files", "parse_file"]
