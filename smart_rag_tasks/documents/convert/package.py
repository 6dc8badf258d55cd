"""The parts of an Office file are found by their relations, not by their names (ECMA-376-2, Open Packaging)."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from .archive import Archive, damaged, local_name


@dataclass(frozen=True, slots=True)
class Relation:
    """One part of the archive refers to another."""

    id: str
    #: The last word of its type: officeDocument, slide, footnotes.
    kind: str
    #: The other part's name in the archive.
    target: str


def relations(archive: Archive, part: str = "") -> tuple[Relation, ...]:
    """What the part, or the whole package, refers to inside the archive."""
    name = relations_part(part)
    elements = archive.xml(name).iter() if name in archive.names else ()
    return tuple(
        Relation(
            element.get("Id", ""),
            element.get("Type", "").rpartition("/")[2],
            posixpath.normpath(posixpath.join("/", posixpath.dirname(part), element.get("Target", ""))).lstrip("/"),
        )
        for element in elements
        if local_name(element) == "Relationship" and element.get("TargetMode") != "External"
    )


def relations_part(part: str) -> str:
    """The name of the part that holds another part's relations."""
    folder, name = posixpath.split(part)
    return posixpath.join(folder, "_rels", f"{name}.rels")


def main_part(archive: Archive) -> str:
    """The name of the part with the document's body or the presentation's list of slides."""
    found = next((relation.target for relation in relations(archive) if relation.kind == "officeDocument"), "")
    if found not in archive.names:
        raise damaged()
    return found
