"""Bytes of text files become the text that was written, whatever program wrote it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from document_samples import parse, write

from smart_rag_tasks.documents.encoding import decode
from smart_rag_tasks.errors import UnreadableDocument

SIMPLIFIED = "茶树一年发好几次芽，春天的第一批最受重视。冬天里茶树长得慢，所以喝起来鲜而不苦。"
TRADITIONAL = "石橋把重量變成壓力，石頭最不怕壓力。當車輛經過的時候，力的路線也會跟著移動。"
ENGLISH = "An arch carries its load by compression alone, and stone is very good at being pressed.\n"
WESTERN = "Le café était fermé. Größe und Maß: 30 °C — “naïve”, ¿qué?"

#: What `iconv` and text editors write.
CHINESE_ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]


@pytest.mark.parametrize("encoding", [*CHINESE_ENCODINGS, "gb2312", "gbk", "gb18030"])
@pytest.mark.parametrize("repeat", [1, 2000])
def test_simplified_chinese(encoding: str, repeat: int) -> None:
    assert decode((SIMPLIFIED * repeat).encode(encoding)) == SIMPLIFIED * repeat


@pytest.mark.parametrize("encoding", [*CHINESE_ENCODINGS, "big5", "big5hkscs", "cp950"])
def test_traditional_chinese(encoding: str) -> None:
    assert decode(TRADITIONAL.encode(encoding)) == TRADITIONAL


@pytest.mark.parametrize("encoding", ["ascii", "utf-8", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_english(encoding: str) -> None:
    assert decode(ENGLISH.encode(encoding)) == ENGLISH


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-16"])
def test_western_european(encoding: str) -> None:
    assert decode(WESTERN.encode(encoding)) == WESTERN


@pytest.mark.parametrize("text", ["桥梁工程", "第一章 绪论", "Celery 任务队列", "2012年《每日邮报》"])
def test_a_few_chinese_words_in_gbk(text: str) -> None:
    assert decode(text.encode("gbk")) == text


@pytest.mark.parametrize(
    ("text", "encoding"), [(SIMPLIFIED, "gbk"), (TRADITIONAL, "big5"), ("石不怕力", "gbk"), (WESTERN, "cp1252")]
)
@pytest.mark.parametrize("before", [ENGLISH * 1000, ENGLISH.strip() * 1000, "© 2024\n" + ENGLISH * 1000])
def test_bytes_above_ascii_are_looked_at_wherever_they_are(text: str, encoding: str, before: str) -> None:
    before = before.replace("©", "·") if encoding != "cp1252" else before
    assert decode((before + text).encode(encoding)) == before + text


def test_a_stray_byte_late_in_utf8_does_not_make_it_something_else() -> None:
    text = ENGLISH * 1000 + SIMPLIFIED
    assert decode(text.encode() + b"\xff") == text + "\ufffd"


def test_turkish_and_icelandic_are_told_apart() -> None:
    turkish = "İstanbul'da güneşli bir gün, çocuklar şarkı söylüyor, dağda kar var."
    icelandic = "Þetta er íslenskur texti, því að hér býr fólk við hafið og les bækur."
    assert decode(turkish.encode("cp1254")) == turkish
    assert decode(icelandic.encode("cp1252")) == icelandic


def test_a_stray_byte_does_does_not_make_utf8_something_else() -> None:
    data = SIMPLIFIED.encode()
    assert decode(data[:30] + b"\xff" + data[30:]) == f"{SIMPLIFIED[:10]}\ufffd{SIMPLIFIED[10:]}"


def test_gb18030_characters_of_four_bytes() -> None:
    text = SIMPLIFIED + "㐀𠀀"
    assert decode(text.encode("gb18030")) == text


def test_lone_surrogates_and_nuls_become_replacement_characters() -> None:
    lone = "text \ud800 and more".encode("utf-8", "surrogatepass")
    assert decode(lone) == "text \ufffd and more"
    assert decode(b"a long enough line of text " * 10 + b"with a\0NUL").endswith("with a\ufffdNUL")


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_text_whose_words_are_parted_by_nuls_is_text(encoding: str) -> None:
    assert decode((WESTERN * 5).replace(" ", "\0").encode(encoding)) == (WESTERN * 5).replace(" ", "\ufffd")


def test_a_surrogate_pair_in_utf8_becomes_its_character() -> None:
    assert decode("\ud83d\ude00 ok".encode("utf-8", "surrogatepass")) == "😀 ok"


def test_windows_and_old_mac_newlines() -> None:
    assert decode(b"one\r\ntwo\rthree\n") == "one\ntwo\nthree\n"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (random.Random(1).randbytes(4000), "binary data"),
        (bytes(4000), "binary data"),
        (b"name\0\0\0\x07" * 500, "binary data"),
        ("桥的一天，我们在这里。".encode("utf-32-le"), "binary data"),
        (b"symbol\0\x10\xb4\xf6" * 500, "binary data"),
        (b"%PDF-1.7 \xe2\xe3", "a PDF"),
        (b"PK\x03\x04rest", "a ZIP archive"),
        (b"\x7fELF\x02\x01", "a program"),
        (b"\x89PNG\r\n\x1a\n", "an image"),
    ],
)
def test_what_is_not_text_is_refused(data: bytes, told: str) -> None:
    with pytest.raises(UnreadableDocument, match=told):
        decode(data)


@pytest.mark.parametrize("encoding", ["shift_jis", "euc_jp", "euc_kr", "koi8-r"])
@pytest.mark.parametrize("repeat", [1, 10])
def test_an_encoding_not_known_is_refused_rather_than_garbled(encoding: str, repeat: int) -> None:
    text = {"euc_kr": "다리는 어떻게 하중을 견디는가. ", "koi8-r": "Мосты несут нагрузку. "}.get(
        encoding, "これは橋のテキストです。漢字とかな。"
    )
    with pytest.raises(UnreadableDocument, match="save it as UTF-8"):
        decode((text * repeat).encode(encoding))


def test_a_gbk_file_from_end_to_end(tmp_path: Path) -> None:
    document = parse(write(tmp_path / "茶.txt", f"茶的故事\n\n{SIMPLIFIED}".encode("gbk")))
    assert document.title == "茶的故事"
    assert document.chunks[0].text == f"茶的故事\n\n{SIMPLIFIED}"
    assert document.chunks[0].section_path == ("茶的故事",)
