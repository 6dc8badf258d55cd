"""Characters of symbol fonts (``w:sym`` of a DOCX) as Unicode: Greek, operators, arrows, check marks, bullets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final


def _table(runs: Mapping[int, str]) -> dict[int, str]:
    return {first + place: char for first, text in runs.items() for place, char in enumerate(text)}


#: Runs of characters by the code of the first. Symbol: Unicode's mapping of Adobe's Symbol encoding (symbol.txt).
#: Of Wingdings what Word writes by itself and what is ticked; arrows as the everyday ones.
_FONTS: Final = {
    "symbol": _table(
        {
            0x20: " !∀#∃%&∋()*+,−./0123456789:;<=>?≅",
            0x41: "ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ[∴]⊥_‾αβχδεφγηιϕκλμνοπθρστυϖωξψζ{|}~",
            0xA0: "€ϒ′≤⁄∞ƒ♣♦♥♠↔←↑→↓°±″≥×∝∂•÷≠≡≈…⏐⎯↵ℵℑℜ℘⊗⊕∅∩∪⊃⊇⊄⊂⊆∈∉∠∇®©™∏√⋅¬∧∨⇔⇐⇑⇒⇓◊⟨®©™∑",
            0xF1: "⟩∫",
        }
    ),
    "wingdings": _table(
        {
            0x4A: "☺😐☹",
            0x6C: "●",
            0x6E: "■□",
            0x71: "❑❒",
            0x75: "◆❖",
            0x9F: "•",
            0xA7: "▪☐",
            0xAB: "★",
            0xD8: "➢",
            0xDF: "←→↑↓",
            0xE7: "⇐⇒⇑⇓",
            0xEF: "⇦⇨⇧⇩⇔",
            0xFB: "✗✓☒☑",
        }
    ),
    "wingdings 2": _table({0x4F: "✗✓☒☑", 0x54: "☒", 0x98: "●○", 0xA2: "■□"}),
}
#: Where Word puts a symbol font's codes: the private use area.
_PRIVATE: Final = 0xF000


def character(font: str, code: str) -> str:
    """The character of a font's code (hexadecimal); a space for one that has no meaning without the font."""
    try:
        number = int(code, 16)
        table = _FONTS.get(font.lower())
        if table is not None:
            return table.get(number - _PRIVATE if number >= _PRIVATE else number, " ")
        return chr(number) if chr(number).isprintable() else " "
    except (ValueError, OverflowError):
        return " "
