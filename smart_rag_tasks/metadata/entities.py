"""Named things in a text, by form and by list: no model, so what it is not sure of is a ``term``.

Web and mail addresses, dates and amounts by their form; Chinese names by jieba's tags and their form; names in Latin
letters by their capitals, their kind by small lists and by telling words (``University``, ``Dr``, ``River``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Final

from ..models import Entity
from .analysis import Analysis
from .lexicon import chinese_name_characters, chinese_no_names, chinese_places, given_names, name_words, places
from .words import BREAK, CONTENT, NAME_TAGS, STOP, Word, is_capital, is_known, join, rarity

#: Entities of a chunk at the most, names before addresses, dates and amounts.
MAX_ENTITIES: Final = 12
_LOOKED_AT: Final = 4 * MAX_ENTITIES
#: Characters; what is longer is data, not a name.
_MAX_NAME: Final = 60

#: Characters before and after a number that are looked at for a date or an amount.
_BEFORE: Final = 16
_AFTER: Final = 24
_NUMBER: Final = re.compile(r"\d[\d,.]*")
_MONTH: Final = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?"
    r"|Nov(?:ember)?|Dec(?:ember)?)\.?"
)
_LARGE: Final = r"(?:thousand|million|billion|trillion)"
# The look ahead at the first character is what makes searching fast: most places fail there, not at each alternative.
_DATE: Final = re.compile(
    r"(?=[\dADFJMNOS])(?:"
    rf"\b\d{{4}}-\d{{2}}-\d{{2}}\b|\b\d{{1,2}} {_MONTH} \d{{4}}\b|\b{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?,? \d{{4}}\b"
    rf"|\b{_MONTH} \d{{4}}\b|(?<!\d)\d{{3,4}}\s?年(?:\s?\d{{1,2}}\s?月(?:\s?\d{{1,2}}\s?日)?)?"
    r"|(?<=\b[Ii]n )(?:1[0-9]|20)\d\d\b|(?<=\bsince )(?:1[0-9]|20)\d\d\b)"
)
_AMOUNT: Final = re.compile(
    r"(?=[\d$€£¥])(?:"
    rf"[$€£¥]\s?\d[\d,.]*(?:\s{_LARGE})?\b|\b\d[\d,.]*\s?(?:[%％]|percent\b|per cent\b)|\b\d[\d,.]*\s{_LARGE}\b"
    r"|\d[\d,.]*\s?[万亿萬億]?(?:美元|元|平方公里|公里|人))"
)
_URL: Final = re.compile(r"\bhttps?://[^\s<>\"'，。；：！？、）)」』”’》】\]]{3,200}")
_EMAIL: Final = re.compile(r"\b[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}\b")
#: jieba's tags for names.
_TAGGED: Final = {"nr": "person", "nrt": "person", "nrfg": "person", "ns": "place"}
#: Of 60 million words; of fewer it has a guess for a tag (旧版本, 即将来临).
_FEWEST_PLACES: Final = 20
_CHINESE_ORGANIZATION: Final = re.compile(
    r"(?:公司|集团|大学|学院|研究院|研究所|委员会|银行|协会|组织|法院|医院|出版社|俱乐部|联盟|联合国|政府|部门|[社院局党])$"
)
_CHINESE_PLACE: Final = re.compile(r"..(?:省|市|县|区|州|国|岛|山|河|湖|海|洋|半岛|平原|高原)$")


def entities(analysis: Analysis) -> tuple[Entity, ...]:
    """At most twelve, names first, each once; of more, those whose kind is known."""
    found: dict[str, Entity] = {}
    said: set[str] = set()  # "Curie" after "Marie Curie" is the same person
    for entity in chain(_names(analysis), _by_form(" ".join(analysis.sentences))):
        if entity.text in said:
            continue
        found[entity.text] = entity
        said.update(_endings(entity.text))
        if len(found) == _LOOKED_AT:
            break
    unknown = [entity.text for entity in found.values() if entity.kind == "term"]
    for text in unknown[::-1][: max(0, len(found) - MAX_ENTITIES)]:
        del found[text]
    return tuple(found.values())[:MAX_ENTITIES]


def _endings(text: str) -> Iterator[str]:
    """The text, and what of it follows each of its spaces."""
    while text:
        yield text
        text = text.partition(" ")[2]


def _by_form(text: str) -> Iterator[Entity]:
    if "://" in text:
        yield from (Entity(match[0].rstrip(".,"), "url") for match in _URL.finditer(text))
    if "@" in text:
        yield from (Entity(match[0], "email") for match in _EMAIL.finditer(text))
    numbers = [match.span() for match in _NUMBER.finditer(text)]
    near = [(min(start, _BEFORE), text[max(0, start - _BEFORE) : end + _AFTER]) for start, end in numbers]
    for kind, pattern in (("date", _DATE), ("number", _AMOUNT)):
        for place, part in near:
            found = pattern.search(part)
            if found and found.start() <= place < found.end():
                yield Entity(found[0].strip(" .,"), kind)


def _names(analysis: Analysis) -> Iterator[Entity]:
    for words in analysis.words:
        for place in [place for place, word in enumerate(words) if word.named]:
            word = words[place]
            if word.tag in NAME_TAGS:
                entity = _chinese(word)
            else:
                entity = None if place and _continues(words, place) else _latin(words, place)
            if entity:
                yield entity


@lru_cache(maxsize=2048)
def _chinese(word: Word) -> Entity | None:
    """The name by its form, else by its tag where that can be believed; None for what is none."""
    if word.key in chinese_places():
        return Entity(word.text, "place")
    if word.key in chinese_no_names():
        return None
    kind = _TAGGED.get(word.tag, "")
    if kind == "person" and not _person_like(word.key):
        return None
    if _CHINESE_ORGANIZATION.search(word.key):
        kind = "organization"
    elif _CHINESE_PLACE.search(word.key):
        kind = "place"
    elif kind == "place" and not is_known(word.key, _FEWEST_PLACES):
        return None
    return Entity(word.text, kind) if kind else None


def _person_like(name: str) -> bool:
    """Whether it begins with a surname or is written in the characters that foreign names are written in."""
    characters = chinese_name_characters()
    return (len(name) <= 3 and name[0] in characters["surnames"]) or characters["transcribing"].issuperset(name)


def _continues(words: Sequence[Word], place: int) -> bool:
    """Whether the name that the word at ``place`` belongs to began before it."""
    before = words[place - 1]
    if is_capital(before.text):
        return True
    return place > 1 and before.text in name_words()["inside"] and is_capital(words[place - 2].text)


def _latin(words: Sequence[Word], start: int) -> Entity | None:
    """The name that begins at ``start``; None for what is only a sentence's first word."""
    first = start == 0
    end = start + 1
    while end < len(words) and _belongs(words, end):
        end += 1
    while start < end and words[start].kind in (STOP, BREAK) and words[start].key not in name_words()["person"]:
        start += 1
    if end - start == 1 and not _is_name(words[start], first=first):
        return None
    return _entity(tuple(words[start:end]))


def _belongs(words: Sequence[Word], place: int) -> bool:
    word = words[place]
    if word.kind is BREAK:  # an initial's
        return word.text == "." and len(words[place - 1].text) == 1 and _capital(words, place + 1)
    return is_capital(word.text) or (word.text in name_words()["inside"] and _capital(words, place + 1))


def _capital(words: Sequence[Word], place: int) -> bool:
    return place < len(words) and is_capital(words[place].text)


def _is_name(word: Word, *, first: bool) -> bool:
    if word.kind is not CONTENT or len(word.text) < 2:
        return False
    return not first or rarity(word.key) > 2 or word.text in places()


@lru_cache(maxsize=2048)
def _entity(name: tuple[Word, ...]) -> Entity | None:
    """The name in Latin letters, None for none and for what is too long."""
    if all(word.text.isupper() for word in name) and (len(name) > 2 or any(word.kind is STOP for word in name)):
        return None  # a line in capitals
    text = join(name)
    return Entity(text, _kind([word.text for word in name])) if name and len(text) <= _MAX_NAME else None


def _kind(name: Sequence[str]) -> str:
    lower = [part.lower() for part in name]
    telling = name_words()
    if " ".join(name) in places():
        return "place"
    if not telling["organization"].isdisjoint(lower):
        return "organization"
    if lower[0] in telling["person"] or (len(name) > 1 and name[0] in given_names()):
        return "person"
    if lower[-1] in telling["place"] or (len(name) > 1 and lower[0] in ("lake", "mount", "river")):
        return "place"
    return "term"
