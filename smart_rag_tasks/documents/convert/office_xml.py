"""A part of an Office file is written anew as kreuzberg reads it: usual prefixes, usual namespaces, UTF-8.

kreuzberg 4.10 finds elements of a DOCX by their prefixes and those of a PPTX by their namespaces, and knows the usual
ones only. Text has its punctuation stood in for (:mod:`.stand_ins`).
"""

from __future__ import annotations

import re
from typing import Final
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from .archive import damaged
from .stand_ins import hidden

#: Namespaces of Strict Open XML, and of the same elements in what everyone writes (ECMA-376-1 and -4).
_STRICT: Final = re.compile(r"^http://purl\.oclc\.org/ooxml/(\w+)/")
_USUAL: Final = r"http://schemas.openxmlformats.org/\1/2006/"
_OPEN: Final = "http://schemas.openxmlformats.org/"
_XML: Final = "http://www.w3.org/XML/1998/namespace"
_PREFIXES: Final = {
    f"{_OPEN}wordprocessingml/2006/main": "w",
    f"{_OPEN}presentationml/2006/main": "p",
    f"{_OPEN}drawingml/2006/main": "a",
    f"{_OPEN}drawingml/2006/picture": "pic",
    f"{_OPEN}drawingml/2006/wordprocessingDrawing": "wp",
    f"{_OPEN}officeDocument/2006/math": "m",
    "http://schemas.microsoft.com/office/drawing/2010/main": "a14",
    f"{_OPEN}officeDocument/2006/relationships": "r",
    f"{_OPEN}markup-compatibility/2006": "mc",
}
#: Space in a text is shown as one; kreuzberg would end a line or a row there, or write ``&#9;``.
_SPACES: Final = str.maketrans("\t\n\r", "   ")


class OfficeXml:
    """Writes one part's elements as they are read; a subclass may write others."""

    def __init__(self) -> None:
        self.out: list[str] = []
        #: What is written to once the text box or the alternative that is being written has ended.
        self._outer: list[list[str]] = []
        #: Of each open mc:AlternateContent the alternatives so far: whether it has text, its XML.
        self._alternatives: list[list[tuple[bool, list[str]]]] = []
        #: Pieces of text seen before each open alternative.
        self._before: list[int] = []
        self._pieces = 0
        #: The last start tag still lacks its ``>``: an element without content is one tag.
        self._unclosed = False
        self._inside_text = False
        #: Open elements of which nothing is written.
        self._skipped = 0
        self._names = _Names()

    def rewritten(self, data: bytes) -> str:
        """The part of these bytes; raises UnreadableDocument when it is not XML."""
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = self._on_start
        parser.EndElementHandler = self._on_end
        parser.CharacterDataHandler = self._on_text
        try:
            parser.Parse(data, True)
        except (expat.ExpatError, ValueError, LookupError) as error:
            raise damaged() from error
        declared = "".join(f" xmlns:{prefix}={quoteattr(uri)}" for uri, prefix in self._names.prefixes.items())
        return "".join([*self.out[:1], declared, *self.out[1:]])

    # -- what a subclass may change

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins; its name and its attributes' names have the usual prefixes."""
        if name == "mc:AlternateContent":
            self._alternatives.append([])
        elif name in ("mc:Choice", "mc:Fallback"):
            self._before.append(self._pieces)
            self.begin_apart()
        else:
            self._close_tag()
            self.out.append(f"<{name}")
            self.out.append("".join([f" {key}={quoteattr(value)}" for key, value in attributes.items()]))
            self._unclosed = True

    def end(self, name: str) -> None:
        """An element ends."""
        if name == "mc:AlternateContent":
            self.out += _chosen(self._alternatives.pop())
        elif name in ("mc:Choice", "mc:Fallback"):
            has_text, apart = self._pieces > self._before.pop(), self.end_apart()
            if self._alternatives:
                self._alternatives[-1].append((has_text, apart))
            else:
                self.out += apart
        else:
            self.out.append("/>" if self._unclosed else f"</{name}>")
            self._unclosed = False

    def put(self, text: str) -> None:
        """Adds a run's text."""
        if text:
            self._close_tag()
            self.out.append(f'<w:t xml:space="preserve">{hidden(text)}</w:t>')
            self._pieces += not text.isspace()

    def write(self, text: str) -> None:
        """Adds a piece of the text of the run that is open."""
        self._close_tag()
        self.out.append(hidden(text))

    def skip(self) -> None:
        """To be called by ``start``: nothing is written of the element that begins, nor of what is in it."""
        self._skipped = 1

    def begin_apart(self) -> None:
        """What follows is not written yet."""
        self._close_tag()
        self._outer.append(self.out)
        self.out = []

    def end_apart(self) -> list[str]:
        """What came since ``begin_apart``."""
        apart, self.out = self.out, self._outer.pop()
        return apart

    # -- what the parser finds

    def _on_start(self, raw: str, attributes: dict[str, str]) -> None:
        if self._skipped:
            self._skipped += 1
            return
        name = self._names[raw]
        self._inside_text = name.endswith(":t")
        self.start(name, {self._names[key]: value for key, value in attributes.items()})

    def _on_end(self, raw: str) -> None:
        self._inside_text = False
        if self._skipped:
            self._skipped -= 1
        else:
            self.end(self._names[raw])

    def _on_text(self, data: str) -> None:
        # Other text is of no use to a reader: numbers of a layout, instructions of a field.
        if self._inside_text and not self._skipped:
            self.write(data.translate(_SPACES))
            self._pieces += not data.isspace()

    def _close_tag(self) -> None:
        if self._unclosed:
            self.out.append(">")
            self._unclosed = False


class _Names(dict[str, str]):
    """``w:p`` for the parser's "namespace, space, p"."""

    def __init__(self) -> None:
        super().__init__()
        self.prefixes: dict[str, str] = {}

    def __missing__(self, raw: str) -> str:
        uri, _, local = raw.rpartition(" ")
        name = self[raw] = f"{self._prefix(uri)}:{local}" if uri else local
        return name

    def _prefix(self, uri: str) -> str:
        uri = _STRICT.sub(_USUAL, uri)
        if uri == _XML:
            return "xml"
        return self.prefixes.setdefault(uri, _PREFIXES.get(uri) or f"n{len(self.prefixes)}")


def _chosen(alternatives: list[tuple[bool, list[str]]]) -> list[str]:
    """The first alternative that has text, else the first; a program shows one of them."""
    return next((xml for has_text, xml in alternatives if has_text), alternatives[0][1] if alternatives else [])
