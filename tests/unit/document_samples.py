"""Files in the formats that the documents module reads, made from bytes: small enough to be read here."""

from __future__ import annotations

import base64
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from smart_rag_tasks.documents import parse_file
from smart_rag_tasks.models import ParsedDocument

#: One page, encrypted with the user password "secret" (RC4, 40 bits) by pypdf.
PROTECTED_PDF = base64.b64decode(
    "JVBERi0xLjMKJeLjz9MKMSAwIG9iago8PAovVHlwZSAvQ2F0YWxvZwovUGFnZXMgMiAwIFIKPj4KZW5kb2JqCjIgMCBvYmoKPDwK"
    "L1R5cGUgL1BhZ2VzCi9LaWRzIFsgMyAwIFIgXQovQ291bnQgMQo+PgplbmRvYmoKMyAwIG9iago8PAovVHlwZSAvUGFnZQovUGFy"
    "ZW50IDIgMCBSCi9NZWRpYUJveCBbIDAgMCA2MTIgNzkyIF0KL0NvbnRlbnRzIDQgMCBSCi9SZXNvdXJjZXMgPDwKL0ZvbnQgPDwK"
    "L0YxIDUgMCBSCj4+Cj4+Cj4+CmVuZG9iago0IDAgb2JqCjw8Ci9GaWx0ZXIgL0ZsYXRlRGVjb2RlCi9MZW5ndGggNTEKPj4Kc3Ry"
    "ZWFtCp2m2Q0D5yhNtwOPMld0+kNyFdvA8EoodHhbLewcCzUBcI6LSoJYEstBURbSMAyjdXrDYQplbmRzdHJlYW0KZW5kb2JqCjUg"
    "MCBvYmoKPDwKL1R5cGUgL0ZvbnQKL1N1YnR5cGUgL1R5cGUxCi9CYXNlRm9udCAvSGVsdmV0aWNhCj4+CmVuZG9iago2IDAgb2Jq"
    "Cjw8Ci9WIDEKL1IgMgovTGVuZ3RoIDQwCi9QIDQyOTQ5NjcyOTIKL0ZpbHRlciAvU3RhbmRhcmQKL08gPGU1YThkMjY4N2JkOWQw"
    "Y2ZmOTQ2YjdhYzU1ZjUxMDgxZGNmMGQxMTY1NTRjNGJmY2IwYTVlNDQ2ZjY5ZWE0OGE+Ci9VIDxlZjQyMmJhOTg1OGI3NDQyMWZi"
    "NmFiZGYyYjNlYjA2N2UxMzA4NTQyM2NiMjczMzk4ZmRiMmYyNTU3ZDJjMTEyPgo+PgplbmRvYmoKeHJlZgowIDcKMDAwMDAwMDAw"
    "MCA2NTUzNSBmIAowMDAwMDAwMDE1IDAwMDAwIG4gCjAwMDAwMDAwNjQgMDAwMDAgbiAKMDAwMDAwMDEyMyAwMDAwMCBuIAowMDAw"
    "MDAwMjUxIDAwMDAwIG4gCjAwMDAwMDAzNzMgMDAwMDAgbiAKMDAwMDAwMDQ0MyAwMDAwMCBuIAp0cmFpbGVyCjw8Ci9TaXplIDcK"
    "L1Jvb3QgMSAwIFIKL0lEIFsgPDBiNDFjNGU4N2ExMmVjYTZiNTY1NjhmNDcyNjZmOWZkPiA8MGI0MWM0ZTg3YTEyZWNhNmI1NjU2"
    "OGY0NzI2NmY5ZmQ+IF0KL0VuY3J5cHQgNiAwIFIKPj4Kc3RhcnR4cmVmCjY1NwolJUVPRgo="
)


def parse(path: Path, chunk_chars: int = 1200, max_bytes: int = 10_000_000, max_chunks: int = 10_000) -> ParsedDocument:
    """``parse_file`` with everyday limits."""
    return parse_file(path, chunk_chars=chunk_chars, max_bytes=max_bytes, max_chunks=max_chunks)


def write(path: Path, content: str | bytes) -> Path:
    """The path, now a file with this content (text in UTF-8)."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def pdf(
    pages: Sequence[Sequence[str]],
    title: str = "",
    *,
    page: str = "/MediaBox[0 0 612 792]",
    place: str = "1 0 0 1 72 760",
    catalog: str = "",
    more: Sequence[bytes] = (),
) -> bytes:
    """A PDF whose pages have these lines, one under the other, in Helvetica.

    ``page`` and ``catalog`` are entries of their dictionaries, ``place`` is where and how the lines begin, ``more``
    are objects from number 3 + 2 * pages on.
    """
    objects = [f"<</Type/Catalog/Pages 2 0 R{catalog}>>".encode(), b""]
    kids = []
    for lines in pages:
        shown = "".join(f"({line}) Tj 0 -14 Td\n" for line in lines)
        stream = zlib.compress(f"BT /F1 11 Tf {place} Tm\n{shown}ET".encode("latin-1"))
        kids.append(f"{len(objects) + 1} 0 R")
        objects.append(
            b"<</Type/Page/Parent 2 0 R%s/Contents %d 0 R"
            b"/Resources<</Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>>>"
            % (page.encode(), len(objects) + 2)
        )
        objects.append(b"<</Length %d/Filter/FlateDecode>>stream\n" % len(stream) + stream + b"\nendstream")
    objects[1] = f"<</Type/Pages/Kids[{' '.join(kids)}]/Count {len(kids)}>>".encode()
    objects += [*more, f"<</Title({title})>>".encode("latin-1")]
    return _numbered(objects)


def _numbered(objects: Sequence[bytes]) -> bytes:
    out = b"%PDF-1.4\n"
    offsets = []
    for number, content in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n" % number + content + b"\nendobj\n"
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    count = len(objects) + 1
    return (
        out
        + b"xref\n0 %d\n0000000000 65535 f \n" % count
        + table
        + b"trailer\n<</Size %d/Root 1 0 R/Info %d 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (count, count - 1, len(out))
    )


def archive(path: Path, members: Mapping[str, str | bytes]) -> Path:
    """A ZIP archive with these members."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return path


def renamed(path: Path, names: Mapping[str, str]) -> Path:
    """The same archive with other file names (old: new), in what refers to them as well."""
    with zipfile.ZipFile(path) as packed:
        members = {name: packed.read(name).decode() for name in packed.namelist()}
    for old, new in names.items():
        members = {name.replace(old, new): text.replace(old, new) for name, text in members.items()}
    return archive(path.with_stem("renamed"), members)


def epub(path: Path, chapters: Mapping[str, str], title: str = "A Book", **extra: str | bytes) -> Path:
    """A book with chapters (name in the archive: body), in this order."""
    names = list(chapters)
    items = "".join(
        f'<item id="c{i}" href="{name.replace(" ", "%20")}" media-type="application/xhtml+xml"/>'
        for i, name in enumerate(names)
    )
    spine = "".join(f'<itemref idref="c{i}"/>' for i in range(len(names)))
    package = (
        '<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0">'
        f'<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{title}</dc:title></metadata>'
        f"<manifest>{items}</manifest><spine>{spine}</spine></package>"
    )
    container = (
        '<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
    )
    page = '<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml"><body>{}</body></html>'
    return archive(
        path,
        {"mimetype": "application/epub+zip", "META-INF/container.xml": container, "OEBPS/book.opf": package}
        | {f"OEBPS/{name}": page.format(body) for name, body in chapters.items()}
        | extra,
    )


def with_package(path: Path, *changes: tuple[str, str]) -> Path:
    """The same book with changes (old, new) in its package document alone."""
    with zipfile.ZipFile(path) as packed:
        members: dict[str, str | bytes] = {name: packed.read(name) for name in packed.namelist()}
    package = bytes(members["OEBPS/book.opf"]).decode()
    for old, new in changes:
        assert old in package
        package = package.replace(old, new)
    return archive(path, members | {"OEBPS/book.opf": package})


_WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_PICTURE = (
    'xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing"'
    ' xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
    ' xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'
)
_RELATIONS = 'xmlns="http://schemas.openxmlformats.org/package/2006/relationships"'
_TYPES = 'xmlns="http://schemas.openxmlformats.org/package/2006/content-types"'
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def paragraph(text: str, style: str = "") -> str:
    """A Word paragraph; the text is XML."""
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f'<w:p>{properties}<w:r><w:t xml:space="preserve">{text}</w:t></w:r></w:p>'


def word_picture(description: str) -> str:
    """A run with a picture."""
    named = f'<wp:docPr id="1" name="Picture 1" descr="{description}"/>'
    graphic = '<a:graphic><a:graphicData><a:pic><a:blip r:embed="i1"/></a:pic></a:graphicData></a:graphic>'
    return f"<w:r><w:drawing {_PICTURE}><wp:inline>{named}{graphic}</wp:inline></w:drawing></w:r>"


def docx(path: Path, body: str, footnotes: str = "", styles: str = "") -> Path:
    """A Word document of this body (XML)."""
    styled = {"word/styles.xml": f"<w:styles {_WORD}>{styles}</w:styles>"} if styles else {}
    return archive(
        path,
        styled
        | {
            "[Content_Types].xml": f'<Types {_TYPES}><Default Extension="xml" ContentType="application/xml"/></Types>',
            "_rels/.rels": f'<Relationships {_RELATIONS}><Relationship Id="r1" Type="{_OFFICE}/officeDocument"'
            ' Target="word/document.xml"/></Relationships>',
            "word/_rels/document.xml.rels": f'<Relationships {_RELATIONS}><Relationship Id="r2"'
            f' Type="{_OFFICE}/footnotes" Target="footnotes.xml"/>'
            + (f'<Relationship Id="r3" Type="{_OFFICE}/styles" Target="styles.xml"/>' if styles else "")
            + "</Relationships>",
            "word/document.xml": f"<w:document {_WORD}><w:body>{body}</w:body></w:document>",
            "word/footnotes.xml": f"<w:footnotes {_WORD}>{footnotes}</w:footnotes>",
        },
    )


_DRAWING = (
    'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
    ' xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"'
    f' xmlns:r="{_OFFICE}"'
)


def shape(text: str, kind: str = "") -> str:
    """A text box of a slide; ``kind`` is its placeholder: title, body."""
    placeholder = f'<p:nvPr><p:ph type="{kind}"/></p:nvPr>' if kind else "<p:nvPr/>"
    return (
        f'<p:sp><p:nvSpPr><p:cNvPr id="2" name="x"/><p:cNvSpPr/>{placeholder}</p:nvSpPr><p:spPr/>'
        f"<p:txBody><a:bodyPr/><a:p><a:r><a:t>{text}</a:t></a:r></a:p></p:txBody></p:sp>"
    )


def slide_table(rows: Sequence[Sequence[str]]) -> str:
    """A table of a slide."""
    cell = "<a:tc><a:txBody><a:bodyPr/><a:p><a:r><a:t>{}</a:t></a:r></a:p></a:txBody></a:tc>"
    lines = "".join(f"<a:tr>{''.join(cell.format(text) for text in row)}</a:tr>" for row in rows)
    return (
        '<p:graphicFrame><p:nvGraphicFramePr><p:cNvPr id="3" name="t"/><p:cNvGraphicFramePr/><p:nvPr/>'
        "</p:nvGraphicFramePr><a:graphic>"
        '<a:graphicData uri="http://schemas.openxmlformats.org/drawingml/2006/table">'
        f"<a:tbl>{lines}</a:tbl></a:graphicData></a:graphic></p:graphicFrame>"
    )


def picture(description: str) -> str:
    """A picture of a slide."""
    return (
        f'<p:pic><p:nvPicPr><p:cNvPr id="4" name="Picture 1" descr="{description}"/><p:cNvPicPr/><p:nvPr/></p:nvPicPr>'
        '<p:blipFill><a:blip r:embed="i1"/></p:blipFill><p:spPr/></p:pic>'
    )


def pptx(
    path: Path, slides: Sequence[str], notes: Mapping[int, str] | None = None, *, order: Sequence[int] = ()
) -> Path:
    """A presentation of slides (shapes as XML); ``notes`` are by slide number, from 1, ``order`` has such numbers."""
    notes = notes or {}
    members = {
        "[Content_Types].xml": f'<Types {_TYPES}><Default Extension="xml" ContentType="application/xml"/></Types>',
        "_rels/.rels": f'<Relationships {_RELATIONS}><Relationship Id="r1" Type="{_OFFICE}/officeDocument"'
        ' Target="ppt/presentation.xml"/></Relationships>',
        "ppt/presentation.xml": f"<p:presentation {_DRAWING}><p:sldIdLst>"
        + "".join(f'<p:sldId id="{255 + n}" r:id="s{n}"/>' for n in order or range(1, len(slides) + 1))
        + "</p:sldIdLst></p:presentation>",
        "ppt/_rels/presentation.xml.rels": f"<Relationships {_RELATIONS}>"
        + "".join(
            f'<Relationship Id="s{n}" Type="{_OFFICE}/slide" Target="slides/slide{n}.xml"/>'
            for n in range(1, len(slides) + 1)
        )
        + "</Relationships>",
    }
    tree = "<p:cSld><p:spTree><p:nvGrpSpPr/><p:grpSpPr/>{}</p:spTree></p:cSld>"
    for number, shapes in enumerate(slides, 1):
        members[f"ppt/slides/slide{number}.xml"] = f"<p:sld {_DRAWING}>{tree.format(shapes)}</p:sld>"
        if number in notes:
            members[f"ppt/notesSlides/notesSlide{number}.xml"] = (
                f"<p:notes {_DRAWING}>{tree.format(shape(notes[number], 'body'))}</p:notes>"
            )
            members[f"ppt/slides/_rels/slide{number}.xml.rels"] = (
                f'<Relationships {_RELATIONS}><Relationship Id="n1" Type="{_OFFICE}/notesSlide"'
                f' Target="../notesSlides/notesSlide{number}.xml"/></Relationships>'
            )
    return archive(path, members)
