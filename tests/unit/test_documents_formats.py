"""HTML, PDF, DOCX, PPTX and EPUB: nothing that a reader sees is lost, headings and pages are kept."""

from __future__ import annotations

import random
import re
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import docx as python_docx
import pytest
from document_samples import (
    archive,
    docx,
    epub,
    paragraph,
    parse,
    pdf,
    picture,
    pptx,
    renamed,
    shape,
    slide_table,
    with_package,
    word_picture,
    write,
)

from smart_rag_tasks.documents import find_files
from smart_rag_tasks.documents.convert.flow import flow
from smart_rag_tasks.documents.convert.html import markdown_of
from smart_rag_tasks.models import Chunk, ParsedDocument

EXAMPLES = Path(__file__).parents[2] / "examples" / "documents"
SOFT = "\u00ad"


def words(text: str) -> Counter[str]:
    """Words and Chinese characters, with their number."""
    return Counter(re.findall(r"[\u4e00-\u9fff]|[^\W\u4e00-\u9fff]+", text))


def text_of(document: ParsedDocument) -> str:
    return "\n\n".join(chunk.text for chunk in document.chunks)


def sections_of(chunks: tuple[Chunk, ...]) -> dict[tuple[str, ...], str]:
    return {chunk.section_path: chunk.text for chunk in chunks}


# -- the sample documents


@pytest.mark.parametrize("path", find_files([EXAMPLES]), ids=lambda path: path.name)
def test_a_sample_document_has_title_sections_and_whole_sentences(path: Path) -> None:
    document = parse(path)
    assert 3 <= len(document.chunks) <= 12
    assert document.title
    assert all(chunk.section_path for chunk in document.chunks)
    ends = re.compile(r"([.。！？|`)”]|\n- .*)$")
    assert [chunk.text[-20:] for chunk in document.chunks if not ends.search(chunk.text)] == []
    assert "\ufffd" not in text_of(document)


@pytest.mark.parametrize(
    "written",
    [
        lambda path, word: write(path / "a.md", f"# {word}\n\n{word}"),
        lambda path, word: write(path / "a.txt", f"{word}\n\n{word} and text."),
        lambda path, word: write(path / "a.html", f"<h1>{word.replace(SOFT, '&shy;')}</h1><p>{word}"),
        lambda path, word: docx(path / "a.docx", paragraph(word, "Heading1") + paragraph(word)),
        lambda path, word: pptx(path / "a.pptx", [shape(word, "title") + shape(word)]),
        lambda path, word: epub(path / "a.epub", {"1.xhtml": f"<h1>{word}</h1><p>{word}"}, word),
    ],
)
def test_words_are_without_soft_hyphens(tmp_path: Path, written: Callable[[Path, str], Path]) -> None:
    document = parse(written(tmp_path, f"imple{SOFT}men{SOFT}tation"))
    assert document.title == "implementation"
    assert words(text_of(document))["implementation"] == 2


# -- HTML


class Visible(HTMLParser):
    """Every text of a page but scripts, styles, templates and the head."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.hidden = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.hidden += tag in {"script", "style", "template", "title"}

    def handle_endtag(self, tag: str) -> None:
        self.hidden -= tag in {"script", "style", "template", "title"}

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.text.append(data)


def visible(page: str) -> str:
    parser = Visible()
    parser.feed(page)
    parser.close()
    return " ".join(parser.text)


PAGE = """<!doctype html><html><head><meta charset="utf-8"><title>Page &amp; title</title>
<meta name="description" content="metadescription"><style>.styled{}</style><script>var scripted;</script></head><body>
<nav><a href="/linktarget">Navigation</a></nav><header><h1>Head</h1><p>Under head.</p></header>
<div><div>Bare text in a div.<span> And a span.</span></div><section><h2>Second</h2>
<p>A <b>bold</b> and <i>slanted</i> <a href="https://target.example/x">link</a>, <code>code</code>.</p>
<ul><li>first item<li>second item<ul><li>nested item</ul></ul><ol><li><div>numbered</div></li></ol>
<table><caption>Caption</caption><tr><th>Key</th><th>Value</th></tr><tr><td>one<br>two</td><td><p>p1</p><p>p2</p></td></tr>
<tr><td><table><tr><td>inner</td></tr></table></td><td>a|b</td></tr></table>
<pre><code>def f():
    return 1
</code></pre>
<form><label>Label</label><select><option>Option</option></select><textarea>Area</textarea><button>Button</button></form>
<details><summary>Summary</summary>Details.</details><blockquote>Quotation.</blockquote>
<figure><img src="data:image/png;base64,AAAABBBB" alt="Picture"><figcaption>Legend</figcaption></figure></section></div>
<svg><text>vector</text></svg><template><p>templated</p></template><noscript>Without scripts.</noscript>
<my-element>Custom element.</my-element><aside>Aside.</aside><dl><dt>Term</dt><dd>Definition</dd></dl>loose text
<h2>中文标题</h2><p>中文段落，第一句。第二句！</p><p>1 &lt; 2 &amp; 3 &gt; 2, a_b*c*d [x] &nbsp;&copy; &#20013;</p>
<p>unclosed<p>paragraphs<footer>Footer.</footer></body></html> after the end"""


@pytest.fixture
def page(tmp_path: Path) -> ParsedDocument:
    return parse(write(tmp_path / "page.html", PAGE))


def test_no_word_of_a_page_is_lost_or_doubled(page: ParsedDocument) -> None:
    expected = words(visible(PAGE.replace('alt="Picture">', ">Picture ").replace("<text>vector</text>", "")))
    assert words(text_of(page)) == expected + Counter("1")  # the number of the ordered list's item


def test_what_is_not_text_stays_out(page: ParsedDocument) -> None:
    for unseen in ("metadescription", "styled", "scripted", "templated", "vector", "base64", "target"):
        assert unseen not in text_of(page)


def test_headings_lists_tables_and_code_of_a_page_are_markdown(page: ParsedDocument) -> None:
    assert page.title == "Page & title"
    assert [chunk.section_path for chunk in page.chunks] == [("Head",), ("Head", "Second"), ("Head", "中文标题")]
    text = text_of(page)
    assert "- first item" in text
    assert "| Key " in text
    assert "```\ndef f():\n    return 1\n```" in text


@pytest.mark.parametrize("tag", ["div", "span", "b", "ul><li", "blockquote", "table><tr><td", "p", "font", "dl><dd"])
@pytest.mark.parametrize("depth", [10, 70, 20_000])
def test_text_nested_deeply_is_kept(tmp_path: Path, tag: str, depth: int) -> None:
    end = f"</{tag.partition('>')[0]}>"
    nested = f"<html><body>before {f'<{tag}>' * depth}inside {end} after</body></html>"
    text = text_of(parse(write(tmp_path / "deep.html", nested)))
    assert [text.count(word) for word in ("before", "inside", "after")] == [1, 1, 1]


@pytest.mark.parametrize(
    "page",
    ["<ul>{}", "<table><tr>{}", "<table>{}", "<dl>{}", "{}", "<table><tr><td>{}", "<div><table><tr><td><p>{}"],
)
@pytest.mark.parametrize(
    "item",
    [
        *("<li>word{}", "<td>word{}", "<tr><td>word{}", "<dt>word{}<dd>x", "<h2>word{}<p>", "<p>word{}"),
        *("<pre>word{} ", "<b>word{} ", "<a href=x>word{} ", "<th>word{}", "<caption>word{}", "<code>word{} "),
        *("<option>word{}", "<td><h2>word{}</h2><p>x</p></td>", "<td><ul><li>word{}</ul></td>"),
    ],
)
def test_tags_left_open_lose_nothing(tmp_path: Path, page: str, item: str) -> None:
    items = "".join(item.format(n) for n in range(100))
    text = text_of(parse(write(tmp_path / "page.html", page.format(items))))
    assert re.findall(r"word\d+", text) == [f"word{n}" for n in range(100)]


@pytest.mark.parametrize("page", ["one<svg></svg>two", "<p>one<button>two</button>", "<li><pre>x\n\none <b>two</b>"])
@pytest.mark.parametrize("around", ["{}", "<table><tr><td>{}</table>", "<ul><li>{}</ul>"])
def test_icons_buttons_and_marks_in_code_join_no_words(around: str, page: str) -> None:
    assert re.search(r"one\b.*\btwo", markdown_of(around.format(page))[0], re.DOTALL)


def test_a_formula_a_button_and_an_icon_stand_in_the_line(tmp_path: Path) -> None:
    tex = '<annotation encoding="application/x-tex">E=mc^2</annotation>'
    energy = f"<math><semantics><mrow><mi>E</mi><mo>=</mo><mi>m</mi></mrow>{tex}</semantics></math>"
    page = f"<p>As {energy} says, press <button>OK</button> or <i class='icon'/>go.</p>"
    assert text_of(parse(write(tmp_path / "page.html", page))) == "As E = m says, press OK or go."


def test_declarations_in_a_page_are_no_text_and_end_nothing(tmp_path: Path) -> None:
    page = '<!DOCTYPE html [<!ENTITY nbsp "&#160;">\n<!ENTITY x "y">]>'
    page += "<p>a<![if !mso]> b<![endif]> <![CDATA[<c> &]]> <![x y]>d</p><![ e"
    assert text_of(parse(write(tmp_path / "page.xhtml", page))) == "a b <c> & d\n\n<![ e"


def test_exponents_and_escapes_are_read_as_they_are_meant(tmp_path: Path) -> None:
    page = "<p>2<sup>7</sup> is 128, 10<sup>-3</sup>, 1<sup>st</sup>, H<sub>2</sub>O, a\\_b, \\*"
    page += "<table><tr><td>x86_64 * 2</td><td>c:\\_d|e</td></tr></table>"
    text = text_of(parse(write(tmp_path / "page.html", page)))
    assert text.startswith("2^7 is 128, 10^-3, 1st, H2O, a\\_b, \\*\n")
    assert re.search(r"\| x86_64 \* 2 +\| c:\\_d\|e +\|", text)


def test_a_table_in_a_table_has_no_backslashes(tmp_path: Path) -> None:
    page = "<table><tr><td>outer</td><td><table><tr><td>one</td><td>two</td></tr></table></td></tr></table>"
    assert re.search(r"\| outer +\| \| one +\| two +\|", text_of(parse(write(tmp_path / "page.html", page))))


def test_a_table_that_lays_out_a_page_becomes_its_blocks(tmp_path: Path) -> None:
    data = "<table><tr><td>a<td>b<p>c<tr><td>d<td><table><tr><td>e</table></table>"
    boxed = "<table><tr><td><table><tr><td><p>Three.<p>Four.</table></table>"
    page = f"<table><tr><td>Menu<td><h1>Head</h1><p>One.<p>Two.{data}<tr><td colspan=2>{boxed}</table>After."
    assert sections_of(parse(write(tmp_path / "page.html", page)).chunks) == {
        ("Head",): "Menu\n\n# Head\n\nOne.\n\nTwo.\n\n| a | b c |\n| --- | --- |\n| d | | e | | --- | |\n\n"
        "Three.\n\nFour.\n\nAfter."
    }


@pytest.mark.parametrize("page", ["<tr><th>Head<tr><td>a", "<tr><th><h2>Head</h2><td>b", "<tr><td>Head<td>b"])
def test_a_table_of_data_stays_one(tmp_path: Path, page: str) -> None:
    assert text_of(parse(write(tmp_path / "page.html", f"<table>{page}</table>"))).startswith("| Head |")


@pytest.mark.parametrize("tag", ["h2", "pre", "ul", "dl", "blockquote", "figcaption", "table"])
@pytest.mark.parametrize("outer", ["<table><tr><td>{}", "<ul><li>{}", "<blockquote>{}", f"{'<blockquote>' * 30}{{}}"])
def test_words_around_a_block_stay_apart(tmp_path: Path, outer: str, tag: str) -> None:
    page = outer.format(f"before<{tag}>inside</{tag}>after")
    text = text_of(parse(write(tmp_path / "page.html", page)))
    assert re.findall(r"\w+", text) == ["before", "inside", "after"]


def test_cells_stand_in_their_columns(tmp_path: Path) -> None:
    page = (
        "<table><tr><th>Name<th>Quarter<th>Value<tr><td rowspan=2>Apple<td>Q1<td>1<tr><td>Q2<td>2"
        "<tr><td colspan='2'>Sum<td>3<tr><td/><td/><td>end<tr><td rowspan=0 colspan=-1>x</table>"
    )
    rows = text_of(parse(write(tmp_path / "page.xhtml", page))).splitlines()
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert [cells[0], *cells[2:]] == [
        ["Name", "Quarter", "Value"],
        ["Apple", "Q1", "1"],
        ["", "Q2", "2"],
        ["Sum", "", "3"],
        ["", "", "end"],
        ["x", "", ""],
    ]


def test_unescaped_text_of_xhtml_is_text(tmp_path: Path) -> None:
    page = "<p><![CDATA[a < b > c & d]]> 文</p><script>//<![CDATA[\nvar scripted;\n//]]></script>"
    assert text_of(parse(write(tmp_path / "page.xhtml", page))) == "a < b > c & d 文"


def test_the_first_title_is_the_page_s(tmp_path: Path) -> None:
    page = "<title/><title> </title><title>The\npage</title><p>Text.<title>another</title>"
    assert parse(write(tmp_path / "page.html", page)).title == "The page"


def test_no_word_of_a_thousand_random_pages_is_lost() -> None:
    rnd = random.Random(5)
    tags = [*"pbia", "div", "h1", "h3", "ul", "ol", "li", "table", "tr", "td", "th", "caption", "code", "pre", "dl"]
    tags += ["span", "blockquote", "dt", "dd", "section", "form", "x-y"]
    tags += ["td rowspan=2", "th colspan=3", "td rowspan=3 colspan=2"]
    for _ in range(1000):
        page = ""
        for n in range(40):
            tag = rnd.choice(tags)
            page += rnd.choice([f"<{tag}>", f"</{tag}>", f" w{n} ", "。"])
        assert sorted(re.findall(r"w\d+", markdown_of(page)[0])) == sorted(re.findall(r"w\d+", page)), page


@pytest.mark.parametrize(
    ("declared", "encoding"),
    [
        *(("gb2312", "gbk"), ("big5", "big5"), ("utf-8", "utf-8"), ("", "gbk")),
        *(("unicode_escape", "gbk"), ("utf-7", "gbk"), ("punycode", "gbk")),
    ],
)
def test_a_page_is_read_in_its_encoding(tmp_path: Path, declared: str, encoding: str) -> None:
    page = f'<meta charset="{declared}"><title>石</title><p>石不怕力，人在中，天下都有。</p>'
    document = parse(write(tmp_path / "page.htm", page.encode(encoding)))
    assert (document.title, text_of(document)) == ("石", "石不怕力，人在中，天下都有。")


@pytest.mark.parametrize("page", ["only text", "<p>a", "<b>x</i></b></b>y", "<", "a < b and c > d", "</p></div>x"])
def test_broken_pages_are_read_as_far_as_they_go(tmp_path: Path, page: str) -> None:
    assert words(text_of(parse(write(tmp_path / "page.html", page)))) == words(re.sub(r"</?\w+>", " ", page))


def test_latin_1_means_windows_1252_as_in_browsers(tmp_path: Path) -> None:
    page = '<meta http-equiv="Content-Type" content="text/html; charset=ISO-8859-1"><p>“café” – naïve</p>'
    assert text_of(parse(write(tmp_path / "page.html", page.encode("cp1252")))) == "“café” – naïve"


@pytest.mark.parametrize(
    ("declared", "text", "encoding"),
    [
        ("Shift_JIS", "①日本語の文字～", "cp932"),
        ("euc-kr", "한국어 똠방각하", "cp949"),
        ("ks_c_5601-1987", "한국어 똠방각하", "cp949"),
        ("iso-8859-9", "İstanbul “Ağ”", "cp1254"),
        ("windows-874", "ภาษาไทย", "cp874"),
    ],
)
def test_encodings_mean_the_larger_ones_as_in_browsers(tmp_path: Path, declared: str, text: str, encoding: str) -> None:
    page = f"<meta charset={declared}><p>{text}</p>"
    assert text_of(parse(write(tmp_path / "page.html", page.encode(encoding)))) == text


@pytest.mark.parametrize(
    "declared",
    [
        "<meta charset=iso-8859-1>",
        "<meta charset=windows-1252>",
        "<!-- <meta charset=koi8-r> --><meta charset=utf-8>",
        "<!-- <meta charset=koi8-r>",
    ],
)
def test_utf_8_is_read_where_a_page_does_not_say_so(tmp_path: Path, declared: str) -> None:
    page = f"{declared} --><p>中文，café。</p>"
    assert "中文，café。" in text_of(parse(write(tmp_path / "page.html", page)))


TEXT_LIKE_MARKDOWN = ("# make", "=", "Title<br>=====<br>after", "<math><mi>E</mi><mo>=</mo></math>", "``` ---")


@pytest.mark.parametrize("block", [*(f"<p>{text}</p>" for text in TEXT_LIKE_MARKDOWN), "<pre># make\nx = 1\n===</pre>"])
@pytest.mark.parametrize("write_page", [write, lambda path, page: epub(path.with_suffix(".epub"), {"1.xhtml": page})])
def test_text_of_a_page_that_looks_like_markdown_stays_text(
    tmp_path: Path, write_page: Callable[[Path, str], Path], block: str
) -> None:
    document = parse(write_page(tmp_path / "page.html", f"<h1>C #</h1><p>Before</p>{block}<p>After.</p>"))
    assert [chunk.section_path for chunk in document.chunks] == [("C #",)]
    shown = re.sub(r"\s|```\n|\n```", "", document.chunks[0].text)
    assert shown == re.sub(r"\s|<[^>]*>", "", f"# C #Before{block}After.")


# -- PDF


def test_pages_are_numbered_from_one_and_headings_kept() -> None:
    document = parse(EXAMPLES / "lighthouses.pdf")
    assert [chunk.page for chunk in document.chunks] == sorted(chunk.page or 0 for chunk in document.chunks)
    assert {chunk.page for chunk in document.chunks} == {1, 2, 3}
    assert ("The Lamp on the Rock", "5. Keepers") in sections_of(document.chunks)
    assert document.title == "The Lamp on the Rock"


def test_a_pdf_keeps_every_word_once(tmp_path: Path) -> None:
    pages = [[f"word{page}x{line} in a line of page {page}" for line in range(9)] for page in range(1, 4)]
    text = text_of(parse(write(tmp_path / "a.pdf", pdf(pages))))
    assert words(text) == words(" ".join(line for lines in pages for line in lines))


@pytest.mark.parametrize(
    ("named", "title"),
    [("(anonymous)", ""), ("untitled", ""), ("Slide 1", ""), ("", ""), ("(Anonymous) letters", "(Anonymous) letters")],
)
def test_what_programs_write_when_there_is_no_title_is_none(tmp_path: Path, named: str, title: str) -> None:
    assert parse(write(tmp_path / "a.pdf", pdf([["Some text."]], named))).title == title


@pytest.mark.parametrize(
    ("lines", "title"),
    [
        ([20, "A paper about pumps", -24, "and how they are opened"], "A paper about pumps and how they are opened"),
        ([20, "A paper", -60, "Introduction"], "A paper"),
        ([20, "A paper", 16, -24, "Introduction"], "A paper"),
        ([20, "A paper", -24, "1 Introduction"], "A paper"),
        ([20, "A paper: how pumps are opened in Europe", -24, "now"], "A paper: how pumps are opened in Europe now"),
        ([20, "2024"], ""),
        ([12, "A letter"], ""),
        ([20, "A", 11, "paper begins with this large letter"], ""),
    ],
)
def test_the_large_lines_that_a_pdf_begins_with_are_its_title(
    tmp_path: Path, lines: list[int | str], title: str
) -> None:
    shown = "".join(
        f"({part}) Tj " if isinstance(part, str) else f"/F1 {part} Tf " if part > 0 else f"0 {part} Td "
        for part in lines
    )
    body = [f"Line {n} of a column of text, in one of two columns." for n in range(40)]
    document = parse(write(tmp_path / "a.pdf", pdf([[f") Tj {shown} 0 -14 Td /F1 11 Tf (", *body]])))
    assert document.title == title
    assert document.chunks[0].section_path[:1] == ((title,) if title else ())


def test_a_title_of_several_lines_is_joined_as_its_script_is_set() -> None:
    known = dict.fromkeys(["水泵维护", "手册"], 0)
    converted = flow([(1, ["水泵维护", "手册", "正文。"]), (2, ["手册", "正文。"])], known, "")
    assert [heading.title for heading in converted.headings or ()] == ["水泵维护手册", "手册"]


def test_lines_become_paragraphs_and_hyphens_words() -> None:
    lines = [
        "The first paragraph runs over three lines and one of them ends with a hyph-",
        "enated word, which is a problem; another is a well-known one, the well-",
        "known word.",
        "The second paragraph begins after a short line. 中文的一行到这里还没有结束，它在",
        "下一行继续。",
        "Three dots and an im\xadple\x02mentation.",
    ]
    text = flow([(1, lines)], {}, "").text
    assert text == (
        "The first paragraph runs over three lines and one of them ends with a hyphenated word, which is a problem;"
        " another is a well-known one, the well-known word.\n\n"
        "The second paragraph begins after a short line. 中文的一行到这里还没有结束，它在下一行继续。\n\n"
        "Three dots and an implementation."
    )


@pytest.mark.parametrize(
    ("end", "start", "joined"),
    [
        ("said", "“yes”", "said “yes”"),
        ("“yes”", "and left", "“yes” and left"),
        ("so…", "he left", "so… he left"),
        ("so—", "he left", "so—he left"),
        ("COVID-", "19", "COVID-19"),
        ("NON-", "ZERO", "NON-ZERO"),
        ("this -", "19 days", "this - 19 days"),
        ("imple\xad", "mented", "implemented"),
        ("他说", "“是”", "他说“是”"),
        ("“是”", "他说", "“是”他说"),
        ("用", "Celery 的", "用Celery 的"),
    ],
)
def test_lines_are_joined_as_their_script_is_set(end: str, start: str, joined: str) -> None:
    wide = "A line of text that is as wide as the lines of a page usually are, or nearly"
    assert joined in flow([(1, [f"{wide} {end}", f"{start} {wide}"])], {}, "").text


def test_long_words_and_lines_of_numbers_of_a_pdf_take_no_time() -> None:
    start = time.perf_counter()
    flow([(1, [f"{'a' * 100_000} b-", "c"]), (2, ["1/2 " * 20_000]), (3, ["1/2 " * 20_000])], {}, "")
    assert time.perf_counter() - start < 2


def test_numbered_lines_of_a_pdf_are_headings() -> None:
    body = "A line of text that is as wide as the lines of a page usually are, or nearly so"
    lines = [
        "1. What is it?",
        body,
        "and its end.",
        "1.1 Parts",
        body,
        "its end.",
        "1. first item",
        "2. second item",
        "End.",
    ]
    converted = flow([(1, lines)], {}, "")
    assert [(heading.title, heading.level) for heading in converted.headings or ()] == [
        ("1. What is it?", 7),
        ("1.1 Parts", 8),
    ]
    known = flow([(1, lines)], {"1. What is it?": 1, "1.9 Far away": 2}, "").headings or ()
    assert [heading.level for heading in known] == [1, 2]


def test_running_headers_and_page_numbers_are_kept_once() -> None:
    pages = [
        (n, ["A Handbook", f"Text of page {n} which is long enough to go on", f"to the end{n}.", f"Page {n} of 4"])
        for n in range(1, 5)
    ]
    text = flow(pages, {}, "").text
    assert text.count("A Handbook") == 1
    assert re.findall(r"Page \d of 4", text) == ["Page 1 of 4"]
    assert re.findall(r"end\d", text) == ["end1", "end2", "end3", "end4"]


@pytest.mark.parametrize(
    "footer", ["{}", "- {} -", "Page {}", "{}/14", "第 {} 页 共 14 页", "Report 3/2026, p. {}", "12/11/2026"]
)
def test_a_footer_with_the_number_of_its_page_is_kept_once(footer: str) -> None:
    pages = [(n, [f"Text number {n} begins", f"End{n}.", footer.format(n + 10)]) for n in range(1, 5)]
    text = flow(pages, {}, "").text
    assert [footer.format(n) in text for n in range(11, 15)] == [True, *[footer.format(0) == footer] * 3]
    assert re.findall(r"number \d|End\d", text) == [f"{word}{n}" for n in range(1, 5) for word in ("number ", "End")]


def test_numbers_that_do_not_run_with_the_pages_are_text() -> None:
    pages = [
        (n, [f"{n + 10} of {n + 20} patients improved", *map(str, range(n * 91, n * 91 + 9)), f"Total {n}07/{n}09"])
        for n in range(1, 5)
    ]
    text = flow(pages, {}, "").text
    assert words(text) == words(" ".join(line for _, lines in pages for line in lines))


@pytest.mark.parametrize(
    ("page", "place"),
    [
        ("/MediaBox[0 0 612 792]/CropBox[60 40 600 792]", "1 0 0 1 72 760"),
        ("/MediaBox[200 300 812 1092]", "1 0 0 1 272 1060"),
        ("/MediaBox[-300 -400 312 392]", "1 0 0 1 -228 360"),
        ("/MediaBox[0 0 612 792]/Rotate 90", "0 1 -1 0 72 72"),  # as LaTeX turns a landscape page
        ("/MediaBox[0 0 612 792]/Rotate 270", "0 -1 1 0 540 720"),
        ("/MediaBox[10 20 622 812]/Rotate 180", "-1 0 0 -1 550 52"),
        ("/MediaBox[10 20 622 812]/Rotate 90", "1 0 0 1 82 780"),  # shown sideways
        ("/MediaBox[0 0 792 612]", "0 1 -1 0 32 72"),
        ("/MediaBox[0 0 792 612]", "0 -1 1 0 760 540"),
    ],
)
def test_all_that_is_shown_of_a_page_is_read_from_its_top(tmp_path: Path, page: str, place: str) -> None:
    lines = [f"Line {n} of a page is about as wide as its sheet {'and goes on ' * 3}to end{n}" for n in range(37)]
    lines += ["first cell) Tj 200 0 Td (second cell"]
    plain = text_of(parse(write(tmp_path / "plain.pdf", pdf([lines]))))
    assert re.findall(r"end\d+|\w+ cell", plain) == [*(f"end{n}" for n in range(37)), "first cell", "second cell"]
    assert text_of(parse(write(tmp_path / "a.pdf", pdf([lines], page=page, place=place)))) == plain


@pytest.mark.parametrize(
    ("note", "catalog"),
    [
        ("/Widget/FT/Tx/T(name)/V(Filled in)", "/AcroForm<</Fields[]/NeedAppearances true/DA(/Helv 9 Tf)>>"),
        ("/FreeText/AP<</N 5 0 R>>", ""),
    ],
)
def test_what_is_filled_in_or_typed_over_a_page_is_read(tmp_path: Path, note: str, catalog: str) -> None:
    page = f"/MediaBox[0 0 612 792]/Annots[<</Subtype{note}/Rect[150 690 350 710]/DA(/Helv 9 Tf 0 g)/F 4>>]"
    shown = b"BT /F1 9 Tf 2 5 Td (Filled in) Tj ET"
    look = (
        b"<</Subtype/Form/BBox[0 0 200 20]/Length %d"
        b"/Resources<</Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>>>stream\n%s\nendstream"
        % (len(shown), shown)
    )
    path = write(tmp_path / "a.pdf", pdf([["Name:"]], page=page, catalog=catalog, more=[look]))
    assert text_of(parse(path)).split() == ["Name:", "Filled", "in"]


# -- DOCX


def test_a_docx_keeps_entities_tabs_notes_and_tables(tmp_path: Path) -> None:
    body = (
        paragraph("Q&amp;A &lt;one&gt;", "Heading1")
        + paragraph("R&amp;D: 1 &lt; 2, &#20013;&#x6587;, “quoted”.")
        + "<w:p><w:r><w:t>left</w:t><w:tab/><w:t>right</w:t><w:noBreakHyphen/><w:t>hyphen</w:t></w:r></w:p>"
        + '<w:p><w:r><w:t>noted</w:t></w:r><w:r><w:footnoteReference w:id="2"/></w:r></w:p>'
        + f"<w:tbl><w:tr><w:tc>{paragraph('cell &amp; one')}</w:tc><w:tc>{paragraph('two')}</w:tc></w:tr></w:tbl>"
    )
    document = parse(docx(tmp_path / "a.docx", body, f'<w:footnote w:id="2">{paragraph("The note.")}</w:footnote>'))
    text = text_of(document)
    for kept in ("R&D: 1 < 2, 中文, “quoted”.", "left right-hyphen", "The note.", "cell & one"):
        assert kept in text
    assert document.chunks[0].section_path == ("Q&A <one>",)


def test_a_docx_written_by_a_word_processor() -> None:
    path = EXAMPLES / "面包.docx"
    document = parse(path)
    written = python_docx.Document(str(path))
    cells = [cell.text for table in written.tables for row in table.rows for cell in row.cells]
    assert words(text_of(document)) == words("\n".join([*(each.text for each in written.paragraphs), *cells]))
    assert document.title == "面包里的化学 (The Chemistry of Bread)"
    assert {chunk.page for chunk in document.chunks} == {None}


def test_quotes_and_apostrophes_of_a_docx_are_kept(tmp_path: Path) -> None:
    said = "He said &quot;don&apos;t touch the keeper&#x2019;s lamp&quot; &amp;amp; went to the caf&#233; [1] *"
    document = parse(docx(tmp_path / "a.docx", paragraph(said)))
    assert text_of(document) == 'He said "don\'t touch the keeper’s lamp" &amp; went to the café [1] *'


@pytest.mark.parametrize("between", ["<w:br/>", "<w:cr/>", "<w:tab />", '<w:ptab w:alignment="right"/>'])
def test_words_of_a_docx_stay_apart(tmp_path: Path, between: str) -> None:
    stops = '<w:pPr><w:tabs><w:tab w:val="left" w:pos="720"/></w:tabs></w:pPr>'
    body = f"<w:p>{stops}<w:r><w:t>left</w:t></w:r><w:r>{between}</w:r><w:r><w:t>right</w:t></w:r></w:p>"
    assert text_of(parse(docx(tmp_path / "a.docx", body))).split() == ["left", "right"]


@pytest.mark.parametrize("kind", ["", ' w:type="page"', ' w:type="column"', ' w:type="textWrapping" w:clear="all"'])
def test_a_break_in_a_docx_ends_a_line_but_no_heading_and_no_row(tmp_path: Path, kind: str) -> None:
    def broken(properties: str = "") -> str:
        end = f"<w:br{kind}/></w:r><w:r><w:t>right</w:t></w:r></w:p>"
        return paragraph("left", properties).replace("</w:r></w:p>", end)

    alone = f"<w:p><w:r><w:rPr><w:b/></w:rPr><w:br{kind}/></w:r></w:p>"
    row = f"<w:tbl><w:tr><w:tc>{broken()}</w:tc><w:tc>{paragraph('x')}</w:tc></w:tr></w:tbl>"
    document = parse(docx(tmp_path / "a.docx", alone + broken("Heading1") + broken() + alone + row))
    assert [chunk.section_path for chunk in document.chunks] == [("left right",)]
    assert text_of(document).startswith("## left right\n\nleft\nright\n\n| left right ")


def test_outline_levels_of_a_docx_are_headings_with_a_style_or_without(tmp_path: Path) -> None:
    def outlined(text: str, level: int, more: str = "") -> str:
        return paragraph(text, "x").replace("</w:pPr>", f'<w:outlineLvl w:val="{level}"/>{more}</w:pPr>')

    former = '<w:pPrChange w:id="1" w:author="x"><w:pPr><w:pStyle w:val="1"/></w:pPr></w:pPrChange>'
    body = outlined("Same", 0) + paragraph("a") + paragraph("Top", "1") + outlined("Sub", 1, former) + paragraph("b")
    style = '<w:style w:type="paragraph" w:styleId="1"><w:pPr><w:outlineLvl w:val="0"/></w:pPr></w:style>'
    document = parse(docx(tmp_path / "a.docx", body + outlined("c", 9, former), styles=style))
    assert sections_of(document.chunks) == {("Same",): "# Same\n\na", ("Top", "Sub"): "# Top\n\n## Sub\n\nb\n\nc"}


@pytest.mark.parametrize("text", ["", " ", "\u3000"])
def test_a_heading_of_a_docx_without_text_is_none(tmp_path: Path, text: str) -> None:
    pictured = f'<w:p><w:pPr><w:pStyle w:val="Heading2"/></w:pPr>{word_picture("")}</w:p>'
    body = paragraph("Top", "Heading1") + paragraph(text, "Heading2") + paragraph("a") + pictured + paragraph("b")
    assert sections_of(parse(docx(tmp_path / "a.docx", body)).chunks) == {("Top",): "## Top\n\na\n\nb"}


@pytest.mark.parametrize("space", ["\n", "\t", "&#13;"])
def test_space_in_a_text_of_a_docx_or_pptx_is_one_space(tmp_path: Path, space: str) -> None:
    text = f"left{space}right"
    row = f"<w:tbl><w:tr><w:tc>{paragraph(text)}</w:tc></w:tr></w:tbl>"
    word = text_of(parse(docx(tmp_path / "a.docx", paragraph(text, "Heading1") + row)))
    assert word.startswith("## left right\n\n| left right |")
    slides = pptx(tmp_path / "a.pptx", [shape(text, "title") + slide_table([[text, "x"]])], {1: text})
    assert text_of(parse(slides)) == "## left right\n\n| left right | x |\n| --- | --- |\n\nleft right"


def test_a_long_cell_does_not_make_the_other_rows_long(tmp_path: Path) -> None:
    rows = [("R1", "short"), ("R2", "long " * 100)]
    cells = ["".join(f"<w:tc>{paragraph(text)}</w:tc>" for text in row) for row in rows]
    table = f"<w:tbl>{''.join(f'<w:tr>{row}</w:tr>' for row in cells)}</w:tbl>"
    page = f"<table>{''.join(f'<tr><td>{key}<td>{text}' for key, text in rows)}</table>"
    shown = f"| R1 | short |\n| --- | --- |\n| R2 | {'long ' * 100}|"
    assert text_of(parse(docx(tmp_path / "a.docx", table))) == shown
    assert text_of(parse(write(tmp_path / "a.html", page))) == shown


def test_how_characters_are_read_stands_behind_them(tmp_path: Path) -> None:
    run = "<w:r><w:t>{}</w:t></w:r>"
    ruby = f"<w:ruby><w:rt>{run.format('běi jīng')}</w:rt><w:rubyBase>{run.format('北京')}</w:rubyBase></w:ruby>"
    body = paragraph("在").replace("</w:p>", f"<w:r>{ruby}</w:r>{run.format('。')}</w:p>")
    assert text_of(parse(docx(tmp_path / "a.docx", body))) == "在北京(běi jīng)。"


@pytest.mark.parametrize("text", ["# make install", "=", "---", "- # x", "```"])
def test_text_of_a_docx_that_looks_like_markdown_stays_text(tmp_path: Path, text: str) -> None:
    body = paragraph("Top", "Heading1") + paragraph("Deep", "Heading3") + paragraph(text) + paragraph("After.")
    document = parse(docx(tmp_path / "a.docx", body))
    assert {chunk.section_path: chunk.text for chunk in document.chunks} == {
        ("Top", "Deep"): f"## Top\n\n#### Deep\n\n{text}\n\nAfter."
    }


def test_a_docx_is_read_whatever_its_parts_are_called(tmp_path: Path) -> None:
    body = paragraph("Top", "Heading1") + '<w:p><w:r><w:t>noted</w:t><w:footnoteReference w:id="2"/></w:r></w:p>'
    usual = docx(tmp_path / "a.docx", body, f'<w:footnote w:id="2">{paragraph("The note.")}</w:footnote>')
    other = renamed(usual, {"document.xml": "document2.xml", "footnotes.xml": "notes.xml"})
    assert text_of(parse(other)) == text_of(parse(usual))


_NAMESPACES = (
    'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
    ' xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing"'
    ' xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" xmlns:v="urn:schemas-microsoft-com:vml"'
    ' xmlns:wps="http://schemas.microsoft.com/office/word/2010/wordprocessingShape"'
)


def drawn_box(content: str) -> str:
    """A text box in DrawingML."""
    box = f"<wps:wsp><wps:txbx><w:txbxContent>{content}</w:txbxContent></wps:txbx></wps:wsp>"
    place = '<wp:positionH><wp:posOffset>7</wp:posOffset></wp:positionH><wp:docPr id="1" name="Box 1"/>'
    graphic = f"<a:graphic><a:graphicData>{box}</a:graphicData></a:graphic>"
    return f"<w:drawing {_NAMESPACES}><wp:anchor>{place}{graphic}</wp:anchor></w:drawing>"


def vml_box(content: str) -> str:
    """A text box as Word 2007 writes it."""
    box = f"<v:shape><v:textbox><w:txbxContent>{content}</w:txbxContent></v:textbox></v:shape>"
    return f"<w:pict {_NAMESPACES}>{box}</w:pict>"


def alternatives(choice: str, fallback: str) -> str:
    """What newer programs read, and what older ones do."""
    choice = f'<mc:Choice Requires="wps">{choice}</mc:Choice>'
    return f"<mc:AlternateContent {_NAMESPACES}>{choice}<mc:Fallback>{fallback}</mc:Fallback></mc:AlternateContent>"


def box_in_both_forms(content: str) -> str:
    """A text box as Word writes it today."""
    return alternatives(drawn_box(content), vml_box(content))


BOXES = pytest.mark.parametrize("box", [drawn_box, vml_box, box_in_both_forms])


def anchored(box: str, style: str = "") -> str:
    """A paragraph with a box in the middle of it."""
    return paragraph("Own text", style).replace("</w:p>", f"<w:r>{box}</w:r><w:r><w:t> goes on.</w:t></w:r></w:p>")


@BOXES
@pytest.mark.parametrize("style", ["", "Heading2"])
def test_a_text_box_follows_the_paragraph_that_it_is_anchored_in(
    tmp_path: Path, box: Callable[[str], str], style: str
) -> None:
    body = paragraph("Top", "Heading1") + anchored(box(paragraph("In the box.")), style) + paragraph("After.")
    text = text_of(parse(docx(tmp_path / "a.docx", body)))
    heading = "### " if style else ""
    assert text == f"## Top\n\n{heading}Own text goes on.\n\nIn the box.\n\nAfter."


@BOXES
def test_boxes_in_cells_and_in_boxes_lose_and_double_nothing(tmp_path: Path, box: Callable[[str], str]) -> None:
    inner = anchored(box(paragraph("Innermost.")))
    cells = [anchored(box(paragraph("One.") + inner) + box(paragraph("Two."))), paragraph("Next cell.")]
    body = f"<w:tbl><w:tr>{''.join(f'<w:tc>{cell}</w:tc>' for cell in cells)}</w:tr></w:tbl>{paragraph('After.')}"
    text = text_of(parse(docx(tmp_path / "a.docx", body)))
    assert words(text) == words("Own text goes on. One. Own text goes on. Innermost. Two. Next cell. After.")


def test_of_two_alternatives_the_one_with_text_is_read(tmp_path: Path) -> None:
    emoji = alternatives('<wps:symEx wps:char="1F60A"/>', "<w:t>😊</w:t>")  # as Word writes an emoji
    assert text_of(parse(docx(tmp_path / "a.docx", anchored(emoji)))) == "Own text😊 goes on."


@pytest.mark.parametrize(
    ("font", "code", "shown"),
    [
        ("Symbol", "F061", "α"),
        ("Symbol", "57", "Ω"),
        ("Symbol", "F0B3", "≥"),
        ("Symbol", "F0E5", "∑"),
        ("Symbol", "F02D", "−"),
        ("Symbol", "F031", "1"),
        ("Wingdings", "F0E0", "→"),
        ("Wingdings", "F0F3", "⇔"),
        ("Wingdings", "F0FC", "✓"),
        ("Wingdings", "F0FE", "☑"),
        ("Wingdings 2", "F052", "☑"),
        ("Segoe UI Symbol", "2714", "✔"),
        ("Wingdings 3", "F041", " "),
        ("Symbol", "F000", " "),
        ("Arial", "0007", " "),
        ("Arial", "D800", " "),
        ("Arial", "FFFFFFFFFFFFFFFFF", " "),
        ("Arial", "", " "),
    ],
)
def test_symbols_of_a_docx_are_characters(tmp_path: Path, font: str, code: str, shown: str) -> None:
    symbol = f'<w:sym w:font="{font}" w:char="{code}"/>'
    assert text_of(parse(docx(tmp_path / "a.docx", anchored(symbol)))) == f"Own text{shown} goes on."


def test_of_the_pictures_of_a_docx_the_described_are_text(tmp_path: Path) -> None:
    drawn = [f"<w:p>{word_picture(each)}</w:p>" for each in ("", "a 1.jpeg", "A bridge")]
    body = paragraph("Before.") + "".join(drawn) + paragraph("After.").replace("</w:p>", f"{word_picture('')}</w:p>")
    text = text_of(parse(docx(tmp_path / "a.docx", body)))
    assert text == "Before.\n\n![A bridge](image)\n\nAfter."


def test_text_that_was_moved_is_read_where_it_is_now(tmp_path: Path) -> None:
    run = '<w:r><w:t xml:space="preserve">{} </w:t></w:r>'
    body = (
        f"<w:p><w:ins>{run.format('Inserted,')}</w:ins><w:moveFrom>{run.format('moved')}</w:moveFrom>"
        f"<w:del><w:r><w:delText>deleted</w:delText></w:r></w:del>{run.format('kept.')}</w:p>"
        f"<w:p><w:moveTo>{run.format('moved')}</w:moveTo>{run.format('here.')}</w:p>"
    )
    assert text_of(parse(docx(tmp_path / "a.docx", body))).split() == ["Inserted,", "kept.", "moved", "here."]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(
    "namespace", ["schemas.openxmlformats.org/wordprocessingml/2006/main", "purl.oclc.org/ooxml/wordprocessingml/main"]
)
def test_a_docx_is_read_whatever_the_form_of_its_xml(tmp_path: Path, encoding: str, namespace: str) -> None:
    body = paragraph("Q&amp;A", "Heading1") + "<w:p><w:r><w:t>left</w:t><w:tab/><w:t><![CDATA[<文>]]></w:t></w:r></w:p>"
    xml = f'<w:document xmlns:w="http://{namespace}"><w:body>{body}</w:body></w:document>'
    xml = xml.replace("xmlns:w", "xmlns:ns0").replace("w:", "ns0:")  # as ElementTree writes it
    path = docx(tmp_path / "a.docx", "")
    with zipfile.ZipFile(path) as packed:
        members = {name: packed.read(name) for name in packed.namelist()}
    members["word/document.xml"] = f'<?xml version="1.0" encoding="{encoding}"?>{xml}'.encode(encoding)
    assert text_of(parse(archive(path, members))) == "## Q&A\n\nleft <文>"


# -- PPTX


def test_slides_are_pages_and_notes_are_kept(tmp_path: Path) -> None:
    slides = [shape("Opening", "title") + shape("R&amp;D &lt;x&gt; 1*2"), shape("第二张", "title") + shape("要点。")]
    document = parse(pptx(tmp_path / "a.pptx", slides, {1: "Spoken, not shown."}))
    assert [(chunk.page, chunk.section_path) for chunk in document.chunks] == [(1, ("Opening",)), (2, ("第二张",))]
    assert document.chunks[0].text == "## Opening\n\nR&D <x> 1*2\n\nSpoken, not shown."


def test_text_of_a_slide_that_looks_like_markdown_stays_text(tmp_path: Path) -> None:
    document = parse(pptx(tmp_path / "a.pptx", [shape("C #", "title") + shape("# make install") + shape("=")]))
    assert [(chunk.section_path, chunk.text) for chunk in document.chunks] == [
        (("C #",), "## C #\n\n# make install\n\n=")
    ]


def test_slides_come_in_the_order_in_which_they_are_shown(tmp_path: Path) -> None:
    slides = [shape(title, "title") + shape("Text.") for title in ("First", "Second", "Third")]
    path = pptx(tmp_path / "a.pptx", slides, {1: "Spoken first.", 3: "Spoken third."}, order=(3, 1))
    document = parse(renamed(path, {"notesSlide3.xml": "notesSlide2.xml", "slide1.xml": "slide10.xml"}))
    assert [(chunk.page, chunk.text) for chunk in document.chunks] == [
        (1, "## Third\n\nText.\n\nSpoken third."),
        (2, "## First\n\nText.\n\nSpoken first."),
    ]


def test_no_word_of_a_slide_is_doubled(tmp_path: Path) -> None:
    look = '<a:r><a:rPr b="1" i="1" u="sng" strike="sngStrike"/><a:t> stressed </a:t></a:r>'
    text = shape("Plain and").replace("</a:p>", f"{look}<a:r><a:t>plain.</a:t></a:r></a:p>")
    table = slide_table([["Key", "Value"], ["one|1", "R&amp;D"]])
    document = parse(pptx(tmp_path / "a.pptx", [shape("Top", "title") + text + table], {1: "Top"}))
    assert text_of(document) == (
        "## Top\n\nPlain and stressed plain.\n\n| Key | Value |\n| --- | --- |\n| one|1 | R&D |\n\nTop"
    )


def test_runs_of_a_slide_are_joined_as_they_are_shown(tmp_path: Path) -> None:
    run = '</a:t></a:r><a:r><a:rPr lang="zh-CN" b="1"/><a:t>'  # PowerPoint begins one at a word it does not know
    cut = f"spo{run}ken, 中{run}文字{run}。"
    path = pptx(tmp_path / "a.pptx", [shape(cut, "title") + shape(cut) + slide_table([[cut, "x"]])], {1: cut})
    said = "spoken, 中文字。"
    assert text_of(parse(path)) == f"## {said}\n\n{said}\n\n| {said} | x |\n| --- | --- |\n\n{said}"


def test_equations_of_a_slide_are_read_in_their_line(tmp_path: Path) -> None:
    def run(text: str) -> str:
        return f"<m:r><m:rPr/><a:rPr/><m:t>{text}</m:t></m:r>"

    fraction = (
        f"<m:f><m:fPr><m:ctrlPr><a:rPr/></m:ctrlPr></m:fPr><m:num>{run('a')}</m:num><m:den>{run('b')}</m:den></m:f>"
    )
    squared = f"<m:sSup><m:e>{run('f')}<m:d><m:e>{run('x')}</m:e></m:d></m:e><m:sup>{run('2')}</m:sup></m:sSup>"
    math = 'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'
    office = 'xmlns:a14="http://schemas.microsoft.com/office/drawing/2010/main"'
    equation = f"<a14:m {office}><m:oMath {math}>{fraction}{run('=')}{squared}</m:oMath></a14:m>"
    both = f'<mc:AlternateContent {_NAMESPACES}><mc:Choice Requires="a14">{equation}</mc:Choice></mc:AlternateContent>'
    box = shape("If ").replace("</a:p>", f"{both}<a:r><a:t>, then.</a:t></a:r></a:p>")
    path = pptx(tmp_path / "a.pptx", [shape("Top", "title") + box])
    assert text_of(parse(path)) == "## Top\n\nIf a/b=f(x)^2, then."


def test_paragraphs_of_notes_stay_apart_and_their_words_whole(tmp_path: Path) -> None:
    notes = "Spo</a:t></a:r><a:r><a:t>ken.</a:t></a:r></a:p><a:p><a:r><a:t>第二段。"
    document = parse(pptx(tmp_path / "a.pptx", [shape("Top", "title")], {1: notes}))
    assert text_of(document) == "## Top\n\nSpoken.\n\n第二段。"


def test_the_footer_of_all_slides_is_read_once(tmp_path: Path) -> None:
    slides = [
        shape(f"T{n}", "title") + shape("Text.") + shape("Firm", "ftr") + shape(f"Source {n}", "ftr") for n in (1, 2)
    ]
    document = parse(pptx(tmp_path / "a.pptx", [*slides, shape("Firm")]))
    assert [chunk.text for chunk in document.chunks] == [
        "## T1\n\nText.\n\nFirm\n\nSource 1",
        "## T2\n\nText.\n\nSource 2",
        "## Firm",
    ]


def test_shapes_for_newer_programs_are_read_once(tmp_path: Path) -> None:
    shapes = alternatives(shape("Newer."), shape("Older."))
    assert text_of(parse(pptx(tmp_path / "a.pptx", [shapes + shape("All.")]))) == "## Newer.\n\nAll."


def test_a_described_picture_is_text_and_its_file_name_is_not(tmp_path: Path) -> None:
    slides = [shape("Top", "title") + picture("image 1.PNG") + picture("A bridge at night")]
    assert text_of(parse(pptx(tmp_path / "a.pptx", slides))) == "## Top\n\n![A bridge at night]()"


def test_a_strict_open_xml_presentation_is_read(tmp_path: Path) -> None:
    path = pptx(tmp_path / "a.pptx", [shape("Top", "title") + shape("Text.")], {1: "Spoken."})
    strict = renamed(
        path,
        {
            f"http://schemas.openxmlformats.org/{part}/2006/": f"http://purl.oclc.org/ooxml/{part}/"
            for part in ("officeDocument", "presentationml", "drawingml")
        },
    )
    assert text_of(parse(strict)) == "## Top\n\nText.\n\nSpoken."


# -- EPUB


def test_chapters_come_in_reading_order_whatever_their_names(tmp_path: Path) -> None:
    chapters = {
        "z last name.xhtml": "<h1>One &amp; first</h1><p>Text<br/>of one.</p>",
        "第二.xhtml": "<h1>二</h1><div>第二章的字。</div><h2>Sub</h2><p>Text.</p>",
    }
    document = parse(epub(tmp_path / "a.epub", chapters, title="The Book"))
    assert document.title == "The Book"
    assert sections_of(document.chunks) == {
        ("One & first",): "# One & first\n\nText\nof one.",
        ("二",): "# 二\n\n第二章的字。",
        ("二", "Sub"): "## Sub\n\nText.",
    }


def test_chapters_are_found_by_names_that_differ_in_case_and_by_absolute_ones(tmp_path: Path) -> None:
    path = epub(tmp_path / "a.epub", {"Chapter1.xhtml": "<h1>1</h1><p>One.</p>", "É.xhtml": "<h1>2</h1><p>Two.</p>"})
    with_package(path, ("Chapter1.xhtml", "/OEBPS/chapter1.XHTML"), ("É", "E\u0301"))
    assert text_of(parse(path)) == "# 1\n\nOne.\n\n# 2\n\nTwo."


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("第 1.xhtml", "%E7%AC%AC%201.xhtml#start"),
        ("第%201.xhtml", "第%201.xhtml"),
        ("a:b.xhtml", "a:b.xhtml"),
        ("a?b#c.xhtml", "a%3Fb%23c.xhtml?x#y"),
    ],
)
def test_chapters_are_found_by_encoded_addresses(tmp_path: Path, name: str, address: str) -> None:
    path = epub(tmp_path / "a.epub", {name: "<p>Text.</p>"})
    written = name.replace(" ", "%20")
    assert text_of(parse(with_package(path, (f'href="{written}"', f'href="{address}"')))) == "Text."


@pytest.mark.parametrize(("member", "address"), [("d\\1.xhtml", "d/1.xhtml"), ("d/1.xhtml", "d\\1.xhtml")])
def test_chapters_are_found_by_names_with_backslashes(tmp_path: Path, member: str, address: str) -> None:
    path = epub(tmp_path / "a.epub", {member: "<p>Text.</p>"})
    assert text_of(parse(with_package(path, (f'href="{member}"', f'href="{address}"')))) == "Text."


def test_a_chapter_that_the_spine_lists_twice_is_read_once(tmp_path: Path) -> None:
    path = epub(tmp_path / "a.epub", {"1.xhtml": "<p>One.</p>", "2.xhtml": "<p>Two.</p>"})
    again = '<itemref idref="c0"/><itemref idref="c1"/>'
    assert text_of(parse(with_package(path, (again, again * 2)))) == "One.\n\nTwo."


@pytest.mark.parametrize("kind", ["text/html", "application/xml", "application/x-dtbook+xml", "text/plain", ""])
def test_a_chapter_is_read_whatever_it_is_called(tmp_path: Path, kind: str) -> None:
    path = epub(tmp_path / "a.epub", {"1.xhtml": "<p>One.</p>", "2.xml": "<p>Two.</p>"})
    assert text_of(parse(with_package(path, ("application/xhtml+xml", kind)))) == "One.\n\nTwo."


def test_of_a_picture_in_the_reading_order_the_text_in_its_place_is_read(tmp_path: Path) -> None:
    path = epub(tmp_path / "a.epub", {"1.png": "\x89PNG", "2.svg": "<svg/>", "3.xhtml": "<p>Three.</p>"})
    kind = "application/xhtml+xml"
    changes = [(f'1.png" media-type="{kind}"', '1.png" media-type="image/png" fallback="c2"')]
    changes += [(f'2.svg" media-type="{kind}"', '2.svg" media-type="image/svg+xml" fallback="c1"')]
    changes += [('<itemref idref="c2"/>', "")]
    assert text_of(parse(with_package(path, *changes))) == "Three."


def test_a_chapter_without_a_heading_is_a_section_of_its_own(tmp_path: Path) -> None:
    text = "Text of a chapter that has no heading, and is longer than a line or two. " * 2
    bodies = ["<h1>Rivers</h1><p>Text.</p>", f"<p>{text}</p>", f"<p>{text}</p><h2>Deserts</h2><p>Text.</p>"]
    bodies += ["<h1>Part</h1>", f"<p>{text}</p>", "<p>A motto.</p><h2>Seas</h2><p>Text.</p>", "<p>The end.</p>"]
    chunks = parse(epub(tmp_path / "a.epub", {f"{n}.xhtml": body for n, body in enumerate(bodies)})).chunks
    text = text.strip()
    assert [(chunk.section_path, chunk.text) for chunk in chunks] == [
        (("Rivers",), "# Rivers\n\nText."),
        ((), text),
        ((), text),
        (("Deserts",), "## Deserts\n\nText."),
        (("Part",), f"# Part\n\n{text}"),
        (("Part", "Seas"), "A motto.\n\n## Seas\n\nText."),
        ((), "The end."),
    ]


@pytest.mark.parametrize(
    ("declared", "encoding"),
    [("windows-1251", "cp1251"), ("koi8-r", "koi8-r"), ("utf-16", "utf-16"), ("UTF-16", "utf-8")],
)
@pytest.mark.parametrize(
    "write_page", [write, lambda path, page: epub(path, {"a.xhtml": ""}, **{"OEBPS/a.xhtml": page})]
)
def test_the_encoding_of_an_xml_declaration_is_obeyed(
    tmp_path: Path, declared: str, encoding: str, write_page: Callable[[Path, bytes], Path]
) -> None:
    page = f'<?xml version="1.0" encoding="{declared}"?><html><body><p>Привет, мир!.</p></body></html>'
    path = tmp_path / ("a.xhtml" if write_page is write else "a.epub")
    assert text_of(parse(write_page(path, page.encode(encoding)))) == "Привет, мир!."
