"""The extractive generator: what it says of English, Chinese and mixed texts, and of texts that say nothing."""

from __future__ import annotations

import random
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import pytest

from smart_rag_tasks.metadata import detect_language, load_generator, sentences
from smart_rag_tasks.metadata.analysis import analyze
from smart_rag_tasks.metadata.extractive import ExtractiveGenerator
from smart_rag_tasks.metadata.headline import headline
from smart_rag_tasks.metadata.kept import Kept
from smart_rag_tasks.metadata.words import split_words, to_simplified
from smart_rag_tasks.models import Chunk, ChunkMetadata, DocumentContext, Entity

DOCUMENT = DocumentContext("d")
GENERATOR = ExtractiveGenerator()

ENGLISH = """Lake Baikal in Siberia is the deepest lake in the world. The lake holds about 20 percent of the fresh
water on the surface of the Earth. Lake Baikal was formed as an ancient rift valley, and scientists of the Limnological
Institute in Irkutsk have studied its clear water since 1928. The Baikal seal lives only there. In winter the lake
freezes over, and in March 2021 the ice was strong enough for trucks. Alexander von Humboldt never saw it."""

CHINESE = """青海湖位于青藏高原东北部，是中国最大的内陆咸水湖。青海湖的湖水来自周围的河流，其中布哈河最大。
近年来，青海湖的水位持续上升，湖区的生态环境明显改善。2020年，青海湖的面积达到4588平方公里，鸟类数量也在增加。
中国科学院的研究人员认为，降水增加是水位上升的主要原因。"""

MIXED = """使用 Redis 作为消息代理时，可见性超时决定未确认的消息多久以后重新投递。下面的代码设置可见性超时：

app.conf.broker_transport_options = {"visibility_timeout": 300}
app.conf.task_acks_late = True
app.conf.worker_prefetch_multiplier = 1

如果任务运行的时间超过可见性超时，消息会被第二次投递，任务就会执行两次。"""

NOTHING = ["", " \n\t ", "!!! ... ???", "。。。！！？", "😀🎉👍🏽", "\x00\x00", "----------", "\u0301\u0301", "\ufeff"]


def metadata_of(text: str) -> ChunkMetadata:
    (outcome,) = GENERATOR.generate([Chunk("c", text)], DOCUMENT)
    assert isinstance(outcome, ChunkMetadata)
    return outcome


def test_english() -> None:
    metadata = metadata_of(ENGLISH)

    assert "en" == metadata.language
    assert "Lake Baikal" in metadata.keywords[:3]
    assert Entity("Lake Baikal", "place") in metadata.entities
    assert Entity("Limnological Institute", "organization") in metadata.entities
    assert Entity("Alexander von Humboldt", "person") in metadata.entities
    assert Entity("March 2021", "date") in metadata.entities
    assert Entity("20 percent", "number") in metadata.entities
    assert "Baikal" in metadata.summary
    assert metadata.summary.endswith(".")
    assert 0 < len(metadata.gist) <= 120
    assert () == metadata.questions
    assert 0 == metadata.tokens


def test_chinese() -> None:
    metadata = metadata_of(CHINESE)

    assert "zh" == metadata.language
    assert "青海湖" in metadata.keywords[:2]
    assert any("水位" in keyword for keyword in metadata.keywords)
    assert Entity("中国", "place") in metadata.entities
    assert Entity("中国科学院", "organization") in metadata.entities
    assert Entity("2020年", "date") in metadata.entities
    assert Entity("4588平方公里", "number") in metadata.entities
    assert "青海湖" in metadata.summary
    assert len(metadata.summary) <= 120


def test_chinese_with_code_is_chinese() -> None:
    metadata = metadata_of(MIXED)

    assert "zh" == metadata.language
    assert any("可见性" in keyword or "超时" in keyword for keyword in metadata.keywords)
    assert "消息" in metadata.summary


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The committee met in 北京 and the report was published by 人民日报.", "en"),
        ("for i in range(10):\n    print(i)  # 打印每一个数字", "zh"),
        ("def main():\n    return client.get(url, headers=headers)", "en"),
        ("Professional teams include those of Los Angeles, San Diego and Los Alamos.", "en"),
        ("Der Hund und die Katze sind im Haus, aber das Pferd ist auf der Weide.", "de"),
        ("Le chat est dans la maison avec les enfants et une souris.", "fr"),
        ("He said: to be or not to be. " + "Le chat est dans la maison avec les enfants et une souris. " * 20, "fr"),
        ("The angle α between the axes is small. " * 20, "en"),
        ("Let f be continuous on [a, b]. Then there is ξ with f(ξ) = 0 if ε > 0 and δ < ε.", "en"),
        ("Belediye meclisi salı günü köprüyü on sekiz ay boyunca kapatma kararı aldı.", ""),
        ("Menu à la carte, crème brûlée à la vanille, café gourmand.", "fr"),
        ("Voilà la maison près de la plage.", "fr"),
        ("La vista de la niña está muy clara, señor.", "es"),
        ("El perro está en la casa por la noche y no sale con los niños.", "es"),
        ("Plain words without\ufffd marks only", "en"),
        ("Queue depth — “worker count” \ufffd\ufffd", "en"),
        ("Caf\ufffd avec un chat et le pain de la maison", "fr"),
        ("中文文\ufffd本，这是一个例子\ufffd。", "zh"),
        ("\ufffd\ufffd — ”", ""),
        ("これは日本語の文章です。漢字も使います。", "ja"),
        ("한국어로 쓴 문장입니다.", "ko"),
        ("Это русский текст о погоде.", "ru"),
        ("Це українська мова, її вивчають у школі.", "uk"),
        ("αυτό είναι ένα κείμενο", "el"),
        ("12 34 56", ""),
        ("😀😀", ""),
    ],
)
def test_languages(text: str, language: str) -> None:
    assert language == detect_language(text)


@pytest.mark.parametrize("text", NOTHING)
def test_a_text_that_says_nothing_has_empty_metadata(text: str) -> None:
    assert ChunkMetadata() == metadata_of(text)


def test_a_short_chunk_has_a_gist_of_words_that_it_has_in_another_form() -> None:
    gist = metadata_of("The settlers built three settlements. Two children wrote about the invasion.").gist
    assert {"settler", "settle", "child", "write", "invade"} <= set(gist.split(", "))
    assert "橄榄" in metadata_of("国家橄榄球联盟的总部在纽约。").gist


def test_plurals_count_as_one_word() -> None:
    keywords = metadata_of(
        "A queue holds tasks. Queues are named. Each task has a queue, and tasks wait in queues."
    ).keywords
    assert len(keywords) == len({keyword.lower().rstrip("s") for keyword in keywords})


def test_keywords_hold_no_function_words_at_their_edges() -> None:
    for text in (ENGLISH, CHINESE, MIXED):
        for keyword in metadata_of(text).keywords:
            assert keyword.split()[0].lower() not in {"the", "a", "of", "in", "is"}
            assert keyword[0] not in "的了和与在是"
            assert keyword[-1] not in "的了和与在是"


@pytest.mark.parametrize(
    ("text", "clause"),
    [
        ("The moon pulls. Gravity weakens with distance, so the near side is pulled more.", "weakens"),
        ("A seed of the date palm grew after two thousand years in a fortress.", "grew"),
        ("The keepers trimmed the wick. It was trimmed at night, and the lamp burned.", "trimmed"),
        ("Earthquakes threw the tower down, and the stones were sold.", "threw"),
        ("A heavy cart crosses the arch. The stones below are pressed.", "crosses"),
        ("If it fails, wait exactly sixty seconds and try again.", "wait exactly"),
        ("后来人们在河上修单门的闸，平时关着蓄水。", "修"),
        ("从这边拖上去，再从那边滑下去，货物先卸下来。", "去"),
        ("工人反复摇动竹筛里的叶子，叶子边缘变红。", "摇动"),
        ("一二六零年，蒙古军队攻入波斯，大汗留在草原。", "攻入"),
    ],
)
def test_no_keyword_is_a_clause_or_a_verb_alone(text: str, clause: str) -> None:
    keywords = metadata_of(text).keywords

    assert keywords
    assert not [keyword for keyword in keywords if clause in keyword]


def test_a_chinese_compound_with_a_verb_is_a_phrase_where_the_text_repeats_it() -> None:
    text = "日志归档由代理负责，可见性超时是一分钟。日志归档之后，代理看可见性超时有没有到。"
    compounds = {"日志归档", "可见性超时"}

    assert compounds <= set(metadata_of(text).keywords)
    assert not compounds & set(metadata_of(text.partition("。")[0]).keywords)


def test_participles_and_verbs_forms_that_are_nouns_stay_in_phrases() -> None:
    assert "distributed systems" in metadata_of("We build distributed systems. Distributed systems fail.").keywords
    assert "northern woods" in metadata_of("They sleep in northern woods.").keywords
    assert "borrow checker" in metadata_of("The borrow checker complains: see what the borrow checker says.").keywords
    assert "database writes" in metadata_of("The database writes are slow. Batch the database writes.").keywords


def test_what_the_cutter_makes_of_half_a_phrase_is_no_keyword() -> None:
    keywords = metadata_of("船到了坡前，人和牛用绳子把它从这边拖上去。入冬前要排空水泵，防止结冰损坏外壳。").keywords

    assert not [keyword for keyword in keywords if "牛用" in keyword or "前要" in keyword]
    assert "会话" in metadata_of("服务器为每个会话保存状态，会话过期后删除。").keywords


@pytest.mark.parametrize(
    ("text", "keyword"),
    [
        ("यहाँ पुराना किला, संसद भवन।", "संसद भवन"),
        ("கடற்கரை, தமிழ்நாட்டின் தலைநகரம்.", "தமிழ்நாட்டின் தலைநகரம்"),
        ("ශ්\u200dරී ලංකාව, කොළඹ.", "ශ්\u200dරී ලංකාව"),
        ("Сгорел за\u0301мок.", "Сгорел за\u0301мок"),
        ("ประเทศไทย มีประชากรจำนวนมาก", "มีประชากรจำนวนมาก"),
    ],
)
def test_combining_marks_belong_to_the_letters_before_them(text: str, keyword: str) -> None:
    assert keyword in metadata_of(text).keywords


@pytest.mark.parametrize(
    "text",
    [
        "Le château de Versailles est une ancienne résidence royale. Il attire chaque été des visiteurs.",
        "Die Brücke über den Rhein wurde im Jahr 1874 gebaut und ist für Züge gesperrt.",
        "Hà Nội là thủ đô của nước Việt Nam và có nhiều hồ nước.",
        "東京タワーのガイドブック。",
    ],
)
def test_decomposed_accents_change_nothing(text: str) -> None:
    assert metadata_of(text) == metadata_of(unicodedata.normalize("NFD", text))


def test_a_clause_without_spaces_is_a_summary_but_no_keyword() -> None:
    clause = "กรุงเทพมหานครเป็นเมืองหลวงและนครที่มีประชากรมากที่สุดของประเทศไทย"
    metadata = metadata_of(clause)

    assert (clause, ()) == (metadata.summary, metadata.keywords)


@pytest.mark.parametrize(
    ("text", "keyword"),
    [
        ("Thank you for reading. Aspirin (ASA) inhibits cyclooxygenase (COX).", "ASA"),
        ("以下是说明。阿司匹林(ASA)可抑制环氧化酶(COX)。", "ASA"),
        (
            "Install [Docker](https://docs.example.com/a_(b)) before [Kubernetes](https://example.io). Reboot.",
            "Kubernetes",
        ),
        ("- Fixed `parse_url` for empty hosts (#812)\nThanks to all contributors.", "empty hosts"),
        ("| Country | Capital |\n|---|---|\n| France | Paris |\n\nFigures are estimates.", "France"),
        ("| 产品 | 价格 |\n|---|---|\n| 机械键盘 | 499元 |\n\n以上数据仅供参考。", "机械键盘"),
    ],
)
def test_prose_with_brackets_links_and_tables_is_no_code(text: str, keyword: str) -> None:
    assert keyword in metadata_of(text).keywords


@pytest.mark.parametrize(
    "code",
    [
        "worker = make_worker(app_name, broker=url)",
        "for (int i = 0; i < size; ++i) { total += values[i]; }",
        "SLAPD_SERVICES=ldap://127.0.0.1:389/",
        "return self.store.read(row.chunk_id, state=state.value)",
        "$ export PATH=$HOME/bin:$PATH && make_all",
    ],
)
def test_program_code_is_left_out(code: str) -> None:
    metadata = metadata_of(f"The queue is emptied at night.\n\n{code}\n\nNothing is lost by that.")

    assert "The queue is emptied at night. Nothing is lost by that." == metadata.summary
    assert not set(code.split()) & set(metadata.keywords)


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        (
            "静夜思\n\n床前明月光，疑是地上霜。举头望明月，低头思故乡。",
            "床前明月光，疑是地上霜。举头望明月，低头思故乡。",
        ),
        ("# 产品参数\n\n以上数据仅供参考。", "以上数据仅供参考。"),
        ("LOAN AGREEMENT\n\nThe Borrower shall repay the Loan.", "The Borrower shall repay the Loan."),
        ("| a | b |\n|---|---|\n| France | Paris. |\n\nFigures are estimates.", "Figures are estimates."),
        ("[![PyPI](https://x.io/a.svg)](https://x.io)\n\nA **fast** client for queues.", "A fast client for queues."),
        ("```python\nimport requests\n```\nIt raises when the server fails.", "It raises when the server fails."),
        ("Milk, flour and sugar\n\nEggs and butter", "Milk, flour and sugar Eggs and butter"),
    ],
)
def test_the_summary_is_of_whole_sentences_where_there_are_some(text: str, summary: str) -> None:
    assert summary == metadata_of(text).summary


@pytest.mark.parametrize(
    "code",
    [
        "```python\nimport os\n\ndef walk(path):\n    yield os.listdir(path)\n```",
        "```\n$ sudo apt install vim\n```\n\n~~~\nReading package lists... Done.\n~~~",
        "app.conf.task_acks_late = True\napp.conf.worker_prefetch_multiplier = 1",
    ],
)
def test_code_alone_has_keywords_but_neither_summary_nor_gist_nor_title(code: str) -> None:
    metadata = metadata_of(code)

    assert metadata.keywords
    assert ("", "", "") == (metadata.summary, metadata.gist, GENERATOR.title([Chunk("c", code)], ""))


def test_blocks_of_code_are_left_out_though_they_look_like_sentences() -> None:
    metadata = metadata_of(
        "Install it first.\n\n```\nReading package lists... Done.\nSetting up vim.\n```\n\nThen edit."
    )
    assert "Install it first. Then edit." == metadata.summary
    assert not {"vim", "package lists"} & set(metadata.keywords)


@pytest.mark.parametrize(
    "text",
    [
        "Install the editor first.\n\n```\nSetting up vim.",
        "Install the editor first.\n\n```sh\nSetting up vim.",
        "    Setting up vim.\n    Done.\n```\n\nInstall the editor first.",
        "  vim = open(path)\n```\n\nInstall the editor first.\n\n```python\nvim = 1",
    ],
)
def test_a_block_of_code_that_is_cut_is_code(text: str) -> None:
    metadata = metadata_of(text)
    assert metadata.summary == "Install the editor first."
    assert "vim" not in metadata.keywords


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        (
            "Use asyncio.Queue to pass tasks. The logging.Logger class writes messages.",
            "Use asyncio.Queue to pass tasks. The logging.Logger class writes messages.",
        ),
        ("在 .NET 6 里使用 StackExchange.Redis，它很快。", "在 .NET 6 里使用 StackExchange.Redis，它很快。"),
        (
            "小明对小红说：“明天我们一起去爬山吧。”小红高兴地答应了。",
            "小明对小红说：“明天我们一起去爬山吧。”小红高兴地答应了。",
        ),
        (
            "Most requests for a change will be answered within the first\n6 months after they are sent.\n\nOther.",
            "Most requests for a change will be answered within the first 6 months after they are sent.",
        ),
        ("缓存按照最近最少使用的原则\n淘汰旧的键值对。", "缓存按照最近最少使用的原则淘汰旧的键值对。"),
        (
            "He said “the plant will open next year.” The reporter asked about the cost of the plant in Chengdu.",
            "He said “the plant will open next year.” The reporter asked about the cost of the plant in Chengdu.",
        ),
        ("<!-- Ask Bob. -->\nThe [tool disable][] command is in [the guide][1].\n\n[1]: http://x.y/z", None),
    ],
)
def test_sentences_are_quoted_as_they_are_meant(text: str, summary: str | None) -> None:
    assert metadata_of(text).summary == (summary or "The tool disable command is in the guide.")


def test_a_table_of_contents_is_no_sentence() -> None:
    contents = "第一章 绪论……………1\n第二章 方法……………7\n\nChapter One ........ 5\nFuture work . . . . . . . 9\n"
    assert not {".", "…"} & set(metadata_of(contents).summary)


@pytest.mark.parametrize("text", [". " * 25_000, "." * 50_000, "<!--" * 20_000, "[a][" * 20_000, "```\n" * 20_000])
def test_marks_in_a_row_take_no_time(text: str) -> None:
    begin = time.perf_counter()
    metadata_of(text)
    assert time.perf_counter() - begin < 2  # tenfold what it takes; in steps that repeat it were many


def test_words_are_looked_up_by_forms_that_they_have_to_do_with() -> None:
    text = "Assist with the section on the number of archives, a question of Walker and Charles at Node.js and Vue.js."
    assert not {"ass", "sect", "numb", "arch", "quest", "walk", "charle", "node.j"} & set(
        metadata_of(text).gist.split(", ")
    )


def test_a_chinese_document_with_much_code_is_chinese() -> None:
    code = "```python\n" + "value = compute(number)\n" * 60 + "```"
    texts = ["任务队列把工作交给后台的工人。", f"下面是一个例子：\n\n{code}", code, "工人做完以后确认。"]
    chunks = [Chunk(f"c{place}", text, place) for place, text in enumerate(texts)]
    generator = ExtractiveGenerator()
    made = [item for item in generator.generate(chunks, DocumentContext("d")) if isinstance(item, ChunkMetadata)]
    assert generator.describe(DocumentContext("d"), zip(chunks, made, strict=True)).language == "zh"


def test_countries_are_places_and_ordinary_words_are_nothing() -> None:
    metadata = metadata_of("伊拉克、乌克兰和斯里兰卡的代表在石家庄会谈深度学习的普及，顾客买了熊猫和胡萝卜。")
    assert {entity.text for entity in metadata.entities} == {"伊拉克", "乌克兰", "斯里兰卡", "石家庄"}
    assert {entity.kind for entity in metadata.entities} == {"place"}


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        (
            "| Package | Use |\n|---|---|\n| vim | fast editor |\n| nano | small friendly editor |",
            "vim, fast editor; nano, small friendly editor",
        ),
        (
            "| | | 备注 |\n|---|---|---|\n| | | 编辑器（文本） |\n| 甲 | 键盘（机械） |",
            "编辑器（文本）甲, 键盘（机械）",
        ),
        ("| Note | |\n|---|---|\n| | The editor keeps a backup. |", "The editor keeps a backup."),
    ],
)
def test_rows_of_a_table_are_quoted_without_their_lines(text: str, summary: str) -> None:
    assert summary == metadata_of(text).summary


def test_markdown_is_read_without_its_marks() -> None:
    metadata = metadata_of(
        "# Retries\n\n- Time-outs are retried\n- Lost connections are retried\n\n| a | b |\n|---|---|\n"
    )
    assert "#" not in f"{metadata.summary}{metadata.gist}{metadata.keywords}"
    assert "|" not in f"{metadata.summary}{metadata.gist}{metadata.keywords}"


def test_the_same_text_gives_the_same_metadata_in_another_process(tmp_path: Path) -> None:
    for name, text in (("en", ENGLISH), ("zh", CHINESE), ("mixed", MIXED)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    program = (
        "import pathlib, sys\n"
        "from smart_rag_tasks.metadata.extractive import ExtractiveGenerator as G\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):\n"
        "    print(ascii(G().metadata_of(path.read_text('utf-8'))))\n"
    )
    expected = "".join(ascii(metadata_of(text)) + "\n" for text in (ENGLISH, MIXED, CHINESE))
    assert {expected} == said_by_other_processes(program, str(tmp_path))


def said_by_other_processes(program: str, *words: str) -> set[str]:
    """What a program prints in two processes whose sets have different orders."""
    return {
        subprocess.run(
            [sys.executable, "-c", program, *words],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }


def test_lines_of_equal_weight_are_chosen_alike_in_every_process() -> None:
    """Sums in another order differ in the last bit, and sets have an order of each process's own."""
    program = (
        "from smart_rag_tasks.metadata.analysis import analyze\n"
        "from smart_rag_tasks.metadata.headline import headline\n"
        "print(headline(analyze('obsidian water valley house granite lungfish engine; '\n"
        "    'otter engine house water kestrel valley zebrafish; obsidian water otter')))\n"
    )
    assert {"obsidian water valley house granite lungfish engine\n"} == said_by_other_processes(program)


def test_a_chunk_does_not_depend_on_its_batch() -> None:
    chunks = [Chunk(str(place), text) for place, text in enumerate([ENGLISH, CHINESE, "", MIXED])]
    assert [GENERATOR.generate([chunk], DOCUMENT)[0] for chunk in chunks] == GENERATOR.generate(chunks, DOCUMENT)


ALPHABETS = [
    "abc xyz. The of and!\n",
    "中文字符，。的了在是研究\n 青海湖",
    "日本語ひらがなカタカナ。",
    "0123456789.,-/%$ ",
    "😀👍🏽🇨🇳\u200d",
    "#*->|`_[]()\n",
    "\ud800\udfff\x00\ufffe",
    "éüßñøæ Ünïcödé' ’s",
    "а б в г д е ж\u0301",
    "ทั้งที่มีน้ำ สระ दिल्ली की ශ්\u200dරී .-",
]


@pytest.mark.parametrize("seed", range(60))
def test_any_text_gets_metadata_within_its_limits(seed: int) -> None:
    chooser = random.Random(seed)
    letters = "".join(chooser.sample(ALPHABETS, chooser.randint(1, 4)))
    text = "".join(chooser.choices(letters, k=chooser.choice([1, 7, 80, 900])))
    metadata = metadata_of(text)

    assert len(metadata.keywords) <= 8
    assert len(metadata.entities) <= 12
    assert all(0 < len(keyword) <= 200 for keyword in metadata.keywords)
    assert len(set(metadata.keywords)) == len(metadata.keywords)
    assert len(metadata.summary) <= 320
    assert len(metadata.gist) <= 600
    assert "\n" not in metadata.gist
    assert f"{metadata}".encode() is not None  # no lone surrogate, or the store could not keep it


@pytest.mark.parametrize(
    "text",
    [
        "x" * 300_000,
        "word " * 60_000,
        "好" * 100_000,
        "中华人民共和国" * 15_000,
        "a,b;" * 50_000,
        "\n" * 100_000,
        "<td>" * 50_000,
    ],
)
def test_a_huge_text_costs_a_bounded_time(text: str) -> None:
    start = time.process_time()
    metadata_of(text)
    assert time.process_time() - start < 3.0


def test_the_package_is_cheap_to_import() -> None:
    program = (
        "import sys; import smart_rag_tasks.metadata;"
        "heavy = {'rjieba', 'sentencex', 'numpy', 'openai', 'celery', 'sqlalchemy'};"
        "print(heavy & set(sys.modules) or '')"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "" == result.stdout.strip()


def test_english_text_does_not_load_the_chinese_dictionary() -> None:
    program = (
        "import sys; from smart_rag_tasks.metadata.extractive import ExtractiveGenerator;"
        "ExtractiveGenerator().metadata_of('Plain English text about lakes.'); print('rjieba' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "False" == result.stdout.strip()


def test_no_thread_is_started() -> None:
    program = (
        "import os, threading; from smart_rag_tasks.metadata import load_generator;"
        "load_generator('extractive').warm_up();"
        "print(threading.active_count(), len(os.listdir('/proc/self/task')))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "1 1" == result.stdout.strip()


def test_the_fingerprint_is_stable() -> None:
    assert ExtractiveGenerator().fingerprint == load_generator("extractive").fingerprint
    assert ExtractiveGenerator().fingerprint.startswith("extractive-8-")


def test_words_that_come_back_stay_known_and_the_others_are_forgotten() -> None:
    asked: list[str] = []

    def answer(word: str) -> str:
        asked.append(word)
        return word.upper()

    kept = Kept(answer, size=4)
    for word in ("the", "a", "b", "c", "d", "the", "e", "f", "g", "the"):
        assert word.upper() == kept[word]
    assert 1 == asked.count("the")
    assert "A" == kept["a"]
    assert 2 == asked.count("a")


def test_a_long_text_without_sentences_is_cut_between_words() -> None:
    metadata = metadata_of("alpha beta\n" * 9000)
    assert {"alpha", "beta"} >= set(" ".join(metadata.keywords).split())
    assert "alpha beta" in metadata.summary


def test_markup_addresses_and_hyphens_are_no_words() -> None:
    assert ("The bridge was closed & reopened.", "en") == (
        (metadata := metadata_of("<p>The <b>bridge</b> was closed &amp; reopened.</p>")).summary,
        metadata.language,
    )
    addresses = metadata_of("See https://docs.example.org/library or write to desk@example.org about the library.")
    assert ("library",) == addresses.keywords
    assert {"url", "email"} == {entity.kind for entity in addresses.entities}
    broken = metadata_of(
        "The engi-\nneers re\u00adported long-\nterm cracks in the gir-\nders and \ufb01nal \ufb02aws."
    )
    assert "The engineers reported long-term cracks in the girders and final flaws." == broken.summary


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Settings of the 'File' menu.", "Settings of the 'File' menu"),
        ("RAID-1 is also known as “RAID mirroring”.", "RAID-1 is also known as “RAID mirroring”"),
        ("“Wear” levels of “disk drives” rise.", "“Wear” levels of “disk drives” rise"),
        ('The "kernel modules" of “udev.', '"kernel modules" of udev'),
        ("The `umask` command and ***soft* pillows**.", "umask command and soft pillows"),
        ("《红楼梦》的作者曹雪芹", "《红楼梦》的作者曹雪芹"),
        ("软件包和 Linux 内核", "软件包和 Linux 内核"),
    ],
)
def test_a_line_stands_as_it_is_written_with_quotation_marks_in_pairs(text: str, line: str) -> None:
    assert line == headline(analyze(text))


def test_code_in_sentences_is_read_without_its_marks() -> None:
    metadata = metadata_of("The `locale` command shows settings. Run the `locale` command *as root*.")

    assert "locale command" in metadata.keywords
    assert "The locale command shows settings. Run the locale command as root." == metadata.summary


def test_paths_and_names_that_begin_with_a_full_stop_are_whole() -> None:
    metadata = metadata_of(
        "We moved the server to .NET last year. Edit /etc/apt/sources.list before that. Run ./configure and/or "
        "read ~/.bashrc (/usr/share). C++ and .NET are fast... That is all."
    )

    assert {".NET", "/etc/apt/sources.list"} <= set(" ".join(metadata.keywords).split())
    assert Entity(".NET", "term") in metadata.entities
    assert ["We use .NET here.", "Run ./a."] == sentences.split("We use .NET here. Run ./a.", "en")
    words = ["./configure", "and/or", "~/.bashrc", "(", "/usr/share", ")", ".", "C++", ".", ".", "."]
    assert words == [word.text for word in split_words("./configure and/or ~/.bashrc (/usr/share). C++...", "en")]


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        ("### 4.1.2. Booting from a USB Key\n\nMost computers boot from it.", "Most computers boot from it."),
        ("A.2. Ubuntu\n\nIt chose another way.", "It chose another way."),
        (
            "4.1. Methods of installing\n4.1.1. The network card\n4.2. Step by step",
            "Methods of installing The network card",
        ),
        ("Twelve tools are known.\n\nTable 9.24. List of tools", "Twelve tools are known."),
        ("# Why Debian?\n\nIt is free.", "It is free."),
        ("## 上传软件包的是谁？\n\n维护者上传软件包。", "维护者上传软件包。"),
        ("2.3. 调试代码\n2.3.1. 图形程序", "调试代码 图形程序"),
        ("The pumps have version 2.6. Old ships sailed away.", "The pumps have version 2.6. Old ships sailed away."),
    ],
)
def test_headings_and_their_numbers_are_no_sentences(text: str, summary: str) -> None:
    assert summary == metadata_of(text).summary


def test_search_forms_are_words_of_the_text_s_language() -> None:
    assert "" == metadata_of("Les ingénieurs ont trouvé des fissures dans trois poutres lors d'une visite.").gist
    assert not {"据库", "布式"} & set(metadata_of("分布式数据库的工程师在维护。").gist.split(", "))


def test_search_forms_of_a_chinese_compound_do_not_overlap() -> None:
    gist = metadata_of("中华人民共和国的工厂制造发动机。").gist.split(", ")

    assert {"中华", "人民共和国", "发动"} == set(gist)


def test_a_word_with_a_joiner_inside_is_one_word() -> None:
    assert ["سه\u200cشنبه"] == [word.text for word in split_words("سه\u200cشنبه", "fa")]


@pytest.mark.parametrize(
    ("text", "forms"),
    [
        ("The version of the conversion", "convert"),
        ("Kubernetes, NeurIPS and diabetes series", ""),
        ("A university with legal priority", ""),
        ("The settlement of the queues", "settle, queue"),
    ],
)
def test_search_forms_are_words_that_the_text_s_words_come_from(text: str, forms: str) -> None:
    assert forms == metadata_of(text).gist


def test_traditional_chinese_is_read_as_simplified_and_written_as_it_is() -> None:
    written = "臺北捷運是服務於臺灣臺北都會區的城市軌道交通系統。陳水扁曾任臺北市市長。謝謝。"
    traditional = metadata_of(written)
    simplified = metadata_of(to_simplified(written))

    assert simplified.keywords == tuple(map(to_simplified, traditional.keywords))
    assert [to_simplified(entity.text) for entity in traditional.entities] == [e.text for e in simplified.entities]
    assert simplified.gist == to_simplified(traditional.gist)
    assert all(keyword in written for keyword in traditional.keywords)
    assert {("臺灣", "place"), ("陳水扁", "person")} <= {(entity.text, entity.kind) for entity in traditional.entities}
    assert not {"謝謝", "城市"} & {entity.text for entity in traditional.entities}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("The office in New York hired John A. Smith.", ["New York", "John A. Smith"]),
        ("A novel by J. R. R. Tolkien.", ["Tolkien"]),
        ("DO NOT OPERATE THE PRESS WITHOUT GUARDS IN PLACE.", []),
        ("The IBM PC came first.", ["IBM PC"]),
    ],
)
def test_names_are_whole_and_lines_in_capitals_are_none(text: str, names: list[str]) -> None:
    assert names == [entity.text for entity in metadata_of(text).entities]


def test_ordinary_chinese_words_are_no_names_whatever_their_tags() -> None:
    ordinary = metadata_of("窗口最大化以后，电容串联，延时很短。普通用户安装补丁，旧版本即将来临，确保安全。")
    names = metadata_of("新华社记者李白在美国的旧金山写道，中国科学院研究京杭大运河。")

    assert () == ordinary.entities
    assert {
        Entity("新华社", "organization"),
        Entity("李白", "person"),
        Entity("美国", "place"),
        Entity("旧金山", "place"),
        Entity("中国科学院", "organization"),
        Entity("京杭大运河", "place"),
    } == set(names.entities)


def test_no_chinese_key_phrase_ends_with_a_clause_s_last_word() -> None:
    keywords = metadata_of(
        "启动工作进程时读取配置，退出工作进程时删除文件。工作进程时有日志，文件夹内有配置。"
    ).keywords

    assert "工作进程" in keywords
    assert not [keyword for keyword in keywords if keyword.endswith(("时", "内"))]


def test_no_key_phrase_says_a_word_twice_or_is_a_table_s_head() -> None:
    keywords = metadata_of(
        "The vault vault stores keys of penguin penguin. The vault vault is locked. MIN HR DOM MON are the columns. "
        "The IBM PC has GNU GENERAL PUBLIC LICENSE, and GNU GENERAL PUBLIC LICENSE is old."
    ).keywords

    assert "vault" in keywords
    assert "GNU GENERAL PUBLIC LICENSE" in keywords
    assert not {"vault vault", "penguin penguin", "MIN HR DOM MON"} & set(keywords)


def test_a_name_s_first_word_is_in_the_key_phrase() -> None:
    assert "New York" in metadata_of("They came to New York by ship. New York was small then.").keywords


def test_of_many_entities_those_of_a_known_kind_stay() -> None:
    terms = ", ".join(f"Quorvex{letter}" for letter in "abcdefghijklmnop")
    entities = metadata_of(f"We sell {terms} in Paris for $40 since 3 May 2021; ask sales@example.com.").entities

    assert 12 == len(entities)
    assert {"place", "number", "date", "email", "term"} == {entity.kind for entity in entities}
