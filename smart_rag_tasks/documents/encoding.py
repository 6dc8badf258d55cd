"""Bytes of a text file become text: UTF-8, UTF-16, UTF-32, GB18030 (GBK, GB2312), Big5, Windows-1252 and -1254.

Tried in the order in which a mistake is least likely: byte order mark, UTF-8 (text in another encoding is
hardly ever valid UTF-8), then the encoding under which the text has most of the everyday Chinese characters.
"""

from __future__ import annotations

import codecs
import re
from typing import Final

from ..errors import UnreadableDocument

#: Longer marks first: UTF-32's begins with UTF-16's.
_MARKS: Final = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (b"\x84\x31\x95\x33", "gb18030"),
)

#: What pages declare, and the larger encoding that browsers read them in (WHATWG Encoding, section 4.2).
_SUPERSETS: Final = {
    **dict.fromkeys(("gb2312", "gbk", "x-gbk", "gb_2312-80"), "gb18030"),
    **dict.fromkeys(("iso-8859-1", "latin1", "ascii", "us-ascii", "windows-1252"), "cp1252"),
    **dict.fromkeys(("iso-8859-9", "latin5"), "cp1254"),
    **dict.fromkeys(("iso-8859-11", "tis-620", "windows-874"), "cp874"),
    **dict.fromkeys(("shift_jis", "shift-jis", "sjis", "x-sjis"), "cp932"),
    **dict.fromkeys(("euc-kr", "ks_c_5601-1987", "korean"), "cp949"),
    "big5": "big5hkscs",
}
#: Codecs of Python that are no encoding of a page: they would read its backslashes and signs as something else.
_NO_ENCODING: Final = frozenset({"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7"})

#: Everyday characters, simplified and traditional: about two in five of any Chinese text, one in fifty of
#: what comes out when the encoding was guessed wrong.
_EVERYDAY: Final = frozenset(
    "的一是不了人我在有他这为之大来以个中上们到说国和地也子时道出而要于就下得可你年生自会那后能对着事其里所去行过家"
    "十用发天如然作方成者多日都三小军二无同么经法当起与好看学进种将还分此心前面又定见只主没公从知使现长把动开样关点"
    "這為來個們說國時於會後對裡過發無與經當學進種將還見從現長動開樣關點，。、：；！？"
)

#: Words in the halves of GB2312 and Big5 that hold punctuation and the common characters. In Big5 of two at
#: least: one alone may be the degree sign of Windows-1252 and the letter after it.
_COMMON_HALF: Final = {
    "gb18030": re.compile(rb"(?:[\xa1\xa3\xb0-\xd7][\xa1-\xfe])+"),
    "big5hkscs": re.compile(rb"(?:[\xa1\xa4-\xc6][\x40-\x7e\xa1-\xfe]){2,}"),
}
_HIGH: Final = re.compile(rb"[\x80-\xff]")
_ASCII: Final = re.compile(r"[\x00-\x7f]+")
#: (encoding, letters, part of the text that they are at the least) of languages whose bytes are Chinese characters
#: too: kana and Hangul. Measured on sentences, names and lists of words of all three.
_NOT_CHINESE: Final = (("euc_jp", re.compile(r"[\u3041-\u30ff]"), 0.3), ("euc_kr", re.compile("[가-힣]"), 0.95))
#: Characters of a text that is always Chinese: a name of two or three may be all Hangul.
_MAX_SHORT: Final = 6
#: Turkish ı, ş and ğ as Windows-1252 shows them, and what is beside those letters in Icelandic.
_TURKISH: Final = re.compile("[ýþðÝÞÐ]")
_ICELANDIC: Final = re.compile("[áéíóúæÁÉÍÓÚÆ]")

#: How much of a file is looked at; the rest only has to decode.
_SAMPLE: Final = 65_536
#: ASCII before a byte above it that is looked at as well.
_CONTEXT: Final = 200
_CONTROL: Final = bytes(set(range(32)) - set(b"\t\n\x0b\x0c\r\x1b")) + b"\x7f"
#: Text has NULs one at a time, between words (``find -print0``, fields of a dump); binary data in rows, or
#: between control characters.
_LONE_NUL: Final = re.compile(rb"(?<=[\t\n\r -~\x80-\xff]{2})\x00(?=[\t\n\r -~\x80-\xff]{2})")
#: Part of the bytes that control characters are at the most; more make it binary data.
_MAX_CONTROL: Final = 0.05

_MAGIC: Final = (
    (b"%PDF-", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive (DOCX, PPTX and EPUB are such)"),
    (b"\xd0\xcf\x11\xe0", "an old Office file"),
    (b"\x89PNG", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"GIF8", "an image"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x7fELF", "a program"),
    (b"!<arch>\n", "a program library"),
)


def decode(data: bytes, declared: str = "") -> str:
    """The text of the bytes, newlines as ``\\n``, NULs and lone surrogates as U+FFFD, without soft hyphens.

    ``declared`` is what the file itself says its encoding is (HTML does), tried first. Raises
    UnreadableDocument for binary data and for encodings not recognised.
    """
    for magic, name in _MAGIC:
        if data.startswith(magic):
            raise UnreadableDocument(f"the content is {name}, not text; give the file its right suffix")
    text = _marked(data) or _as_declared(data, declared) or _guessed(data)
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd").replace("\xad", "")


def _marked(data: bytes) -> str | None:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace")
    return None


def _as_declared(data: bytes, declared: str) -> str | None:
    encoding = _SUPERSETS.get(declared.lower(), declared)
    # Latin 1 is declared by templates that no one looked at, and fits any bytes; its text is hardly ever UTF-8.
    for each in ("utf-8", encoding) if encoding == "cp1252" else filter(None, (encoding,)):
        try:
            if codecs.lookup(each).name not in _NO_ENCODING:
                return data.decode(each)
        except (LookupError, UnicodeError):
            continue
    return None


def _guessed(data: bytes) -> str:
    sample = data[:_SAMPLE]
    text = _utf16_without_mark(data, sample)
    if text is not None:
        return text
    plain = _LONE_NUL.sub(b" ", sample).translate(None, _CONTROL)
    if len(sample) - len(plain) > _MAX_CONTROL * len(sample):
        raise UnreadableDocument("holds binary data, not text; give the file its right suffix")
    text = _utf8(data)
    if text is None:
        sample = _around_high(data)
        encoding = _chinese(sample) or _western(sample)
        if not encoding:
            raise UnreadableDocument("its text encoding is not recognised; save it as UTF-8")
        text = data.decode(encoding, "replace")
    return text


def _around_high(data: bytes) -> bytes:
    """The lines that have bytes above ASCII: only they tell, and they may come late."""
    found, size, at = [], 0, 0
    while size < _SAMPLE and (high := _HIGH.search(data, at)):
        # Never inside a character: all that stands before this byte on its line is ASCII.
        start = max(data.rfind(b"\n", at, high.start()) + 1, at, high.start() - _CONTEXT)
        line = data[start : start + _SAMPLE].partition(b"\n")[0] + b"\n"
        found.append(line)
        size, at = size + len(line), start + len(line)
    return b"".join(found)


def _utf8(data: bytes) -> str | None:
    """UTF-8, forgiving one stray byte in ten characters; surrogate pairs written one by one are joined."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    try:
        lone = data.decode("utf-8", "surrogatepass")
        return lone.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    except UnicodeDecodeError:
        text = data.decode("utf-8", "replace")
    bad = text.count("\ufffd")
    good = len(text) - len(text.encode("ascii", "ignore")) - bad
    return text if good >= 10 * bad else None


def _utf16_without_mark(data: bytes, sample: bytes) -> str | None:
    """UTF-16 betrays itself by zeros at every second byte (Latin) or by everyday Chinese characters."""
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    half = max(len(sample) // 2, 1)
    for encoding, zeros, others in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
        latin = zeros > 0.4 * half and others < 0.05 * half
        if latin or (not _is_utf8(sample) and not _utf32(sample) and _everyday_share(sample, encoding) > 0.1):
            return data.decode(encoding, "replace")
    return None


def _utf32(sample: bytes) -> bool:
    """Whether there is a NUL beside each character of two bytes: such text needs its mark."""
    return sample.decode("utf-16-le", "replace").count("\0") > 0.2 * len(sample) / 2


def _is_utf8(sample: bytes) -> bool:
    return b"\0" not in sample and sample.decode("utf-8", "replace").count("\ufffd") <= 1


def _everyday_share(sample: bytes, encoding: str) -> float:
    """The part of the non-ASCII characters that are everyday Chinese ones; 0 below three of them."""
    text = _ASCII.sub("", sample.decode(encoding, "replace"))
    known = sum(char in _EVERYDAY for char in text)
    return known / len(text) if known >= 3 else 0.0


def _chinese(sample: bytes) -> str | None:
    """``gb18030`` or ``big5hkscs``, None when neither gives Chinese."""
    high = len(_HIGH.findall(sample))
    if any(_looks_like(sample, *other) for other in _NOT_CHINESE):
        return None
    found = []
    for encoding, common in _COMMON_HALF.items():
        share = _everyday_share(sample, encoding)
        common_share = len(_HIGH.findall(b"".join(common.findall(sample)))) / max(high, 1)
        # A name or two need not have an everyday character: then all of it must be common.
        short = high < 80 and common_share >= 0.9 and "\ufffd" not in sample.decode(encoding, "replace")
        if share >= 0.06 or short:
            found.append((share + 0.2 * common_share, encoding))
    return max(found)[1] if found else None


def _looks_like(sample: bytes, encoding: str, letters: re.Pattern[str], part: float) -> bool:
    text = _ASCII.sub("", sample.decode(encoding, "replace"))
    return len(text) > _MAX_SHORT and len(letters.findall(text)) >= part * len(text)


def _western(sample: bytes) -> str | None:
    """``cp1252``, or ``cp1254``, when the bytes above ASCII are few and stand alone, as accented letters do."""
    high = len(_HIGH.findall(sample))
    together = len(re.findall(rb"[\x80-\xff]{3,}", sample))
    undefined = re.search(rb"[\x81\x8d\x8f\x90\x9d]", sample)
    if high > 0.3 * len(sample) or together > high // 20 or undefined:
        return None
    return "cp1254" if _turkish(sample.decode("cp1252")) else "cp1252"


def _turkish(text: str) -> bool:
    letters = _TURKISH.findall(text)
    return {"ý", "þ"} <= set(letters) and len(letters) > 2 * len(_ICELANDIC.findall(text))
