"""The one door to kreuzberg: its options, and its errors as ours."""

from __future__ import annotations

import re
from typing import Any, Final

import kreuzberg as library

from ...errors import DocumentError, ProtectedDocument, UnreadableDocument

#: Nothing is stripped as furniture, cached on disk or rewritten; what is left out is our decision.
_OPTIONS: Final[dict[str, Any]] = {
    "use_cache": False,
    "enable_quality_processing": False,
    "content_filter": library.ContentFilterConfig(
        include_headers=True, include_footers=True, strip_repeating_text=False, include_watermarks=True
    ),
}

_HTML: Final[dict[str, Any]] = {"preprocessing": {"enabled": False}, "extract_metadata": False}

#: An image without a description; programs give it its file's name as one.
_IMAGE: Final = r"!\[(?:[^\]\n]*\.(?:png|jpe?g|gif|bmp|tiff?|[ew]mf|svg|webp))?\]\([^)\n]*\)"
_IMAGES: Final = re.compile(rf"^{_IMAGE}$\n*|{_IMAGE}", re.M | re.I)
#: A heading without text.
_BARE_MARK: Final = re.compile(r"^#+[^\S\n]*$\n*", re.M)
#: Lines of a table.
_ROW: Final = re.compile(r"^([ >]*)(\|.*)", re.M)


def extract(data: bytes, mime: str, **options: Any) -> Any:
    """kreuzberg's ExtractionResult; raises ProtectedDocument or UnreadableDocument."""
    if mime == "text/html":
        options.setdefault("html_options", _HTML)
    config = library.ExtractionConfig(**_OPTIONS, **options)
    try:
        return library.extract_bytes_sync(data, mime, config)
    # Besides its own errors it raises OSError for damaged archives and RuntimeError for a panic inside.
    except (library.KreuzbergError, OSError, RuntimeError, ValueError) as error:
        raise _ours(error) from error


def _ours(error: Exception) -> DocumentError:
    """kreuzberg's own message is not handed on: it may quote the document."""
    reason = str(error).lower()
    if "password" in reason or "encrypt" in reason:
        return ProtectedDocument("is protected by a password; remove it and submit again")
    return UnreadableDocument("is damaged or cut off; open it in its program, save it again and submit that")


def title_of(metadata: dict[str, Any]) -> str:
    """The title that the metadata has, as it stands."""
    return str(metadata.get("title") or "")


def unescaped(markdown: str) -> str:
    """Markdown without the backslashes that kreuzberg puts before punctuation, as before the ``|`` of inner tables."""
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", markdown)


def without_bare_images(markdown: str) -> str:
    """Markdown, with its own punctuation stood in for, without images that have no description and empty headings."""
    return _BARE_MARK.sub("", _IMAGES.sub("", markdown)).strip()


def without_padding(markdown: str) -> str:
    """Markdown, with its own punctuation stood in for, without the spaces that make all rows as wide as the widest."""
    return _ROW.sub(lambda row: row[1] + re.sub("-{4,}", "---", re.sub(" {2,}", " ", row[2])), markdown)
