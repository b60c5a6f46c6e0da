"""Reduces HTML to the text that people read, in time that grows with the text: nothing is stored as markup, and nothing of it
is ever carried out. Pure.

Many networks send text as it stands in a page, some only with its entities. What merely looks like markup (`a < b and c > d`,
`<3`, `<my name>`) is text: only the elements of HTML count, with attributes as HTML writes them.
"""

from __future__ import annotations

import re
from html.entities import html5
from typing import Final

_ROUNDS: Final = 3
"""Some feeds escape a page as a whole, and some do so twice."""
_BREAKS: Final = re.compile(
    "address|article|aside|blockquote|br|dd|details|div|dl|dt|fieldset|figcaption|figure|footer|form|h[1-6]|header|hr|li|main|nav"
    "|ol|option|p|pre|section|summary|table|tbody|tfoot|thead|title|tr|ul"
)
_APART: Final = re.compile("td|th|img|iframe|video|audio|button|select|textarea")
_INLINE: Final = re.compile(
    "a|abbr|acronym|b|bdi|bdo|big|body|caption|center|cite|code|col|colgroup|data|del|dfn|em|embed|font|head|html|i|input|ins|kbd"
    "|label|legend|link|map|mark|meta|meter|noscript|object|param|picture|progress|q|rb|rp|rt|rtc|ruby|s|samp|script|small|source"
    "|span|strike|strong|style|sub|sup|svg|template|time|track|tt|u|var|wbr"
)
_SILENT: Final = frozenset({"script", "style"})
"""What stands between their tags is no text."""
_BARE: Final = (
    "allowfullscreen|async|autoplay|checked|controls|defer|disabled|download|hidden|ismap|itemscope|loop|multiple|muted|novalidate"
    "|open|playsinline|readonly|required|reversed|selected"
)
"""Attributes without a value. Any other word behind a name (`<a lot of money>`) makes it no tag."""
_VALUE: Final = r"""(?:"[^"]*+"|'[^']*+'|[^\s"'=]++)"""
_ATTRIBUTE: Final = rf"(?:\s++(?:(?:{_BARE})(?=[\s/]|$)|[\w:@.-]++\s*+=\s*+{_VALUE}))"
_TAG: Final = re.compile(rf"(/?)([a-z][a-z0-9]{{0,10}}){_ATTRIBUTE}*+\s*+/?+", re.IGNORECASE)
_NO_ELEMENT: Final = re.compile(r"!--.*+(?<=--)|!doctype\s.*+|\?xml\s.*+", re.IGNORECASE | re.DOTALL)
_CDATA: Final = re.compile(r"!\[CDATA\[(.*+)(?<=\]\])", re.DOTALL)
_CUT: Final = re.compile(r"/?[a-z][a-z0-9]{0,10}\s++[\w:-]++\s*+=.*+", re.IGNORECASE | re.DOTALL)
"""A tag that was cut off with the end of the text."""
_PICTURE: Final = re.compile(r"\salt\s*+=\s*+(?:\"([^\"]{1,40}+)\"|'([^']{1,40}+)')", re.IGNORECASE)
_ENTITY: Final = re.compile(
    r"&(?:(?:amp|#0{0,6}38|#[xX]0{0,6}26);)*(?:#([0-9]{1,9})|#[xX]([0-9a-fA-F]{1,8})|([a-zA-Z][a-zA-Z0-9]{1,31}));"
)
_LINES: Final = re.compile(r"[ \t]*+\n[ \t]*+(?:\n[ \t]*+)*+")


def as_text(text: str) -> str:
    """The text without tags, comments and entities."""
    if "<" not in text and "&" not in text:
        return text
    reduced = _without_tags(text)
    for _ in range(_ROUNDS):
        before, reduced = reduced, _without_tags(_ENTITY.sub(_character, reduced))
        if reduced == before:
            break
    return reduced


def _without_tags(text: str) -> str:
    """The text without tags, whatever forms a tag when others are gone. Each character is looked at a bounded number of times:
    a > takes with it either a tag, or all hope that what was opened before it becomes one."""
    if "<" not in text:
        return text
    out: list[str] = []
    opened: list[int] = []
    silent: list[int] = []
    found = False
    for piece in re.split("([<>])", text):
        if piece == "<":
            opened.append(len(out))
            out.append(piece)
        elif piece == ">" and opened:
            begin = opened.pop()
            instead = _instead_of("".join(out[begin + 1 :]), begin, silent, outermost=not opened)
            if instead is None:
                opened.clear()
                out.append(piece)
                continue
            found = True
            del out[begin:]
            if instead == _HUSHED:
                del out[silent.pop() :]
                while opened and opened[-1] >= len(out):
                    opened.pop()
            else:
                out.append(instead)
        else:
            out.append(piece)
    if opened and _CUT.fullmatch("".join(out[opened[-1] + 1 :])) and _is_element(out[opened[-1] + 1]):
        found = True
        del out[opened[-1] :]
    whole = "".join(out)
    return _LINES.sub(_at_most_two, whole).strip() if found else whole


_HUSHED: Final = "\0"


def _instead_of(tag: str, begin: int, silent: list[int], *, outermost: bool) -> str | None:
    """What stands for this tag in the text; `None` if it is none. `silent` has the places where what is no text begins."""
    match = _TAG.fullmatch(tag)
    if match is None:
        inner = _CDATA.fullmatch(tag) if outermost else None  # one within another would be looked at again and again
        if inner is not None:
            return inner[1][:-2]
        return "" if _NO_ELEMENT.fullmatch(tag) else None
    closes, name = match[1], match[2].lower()
    if name in _SILENT:
        if closes and silent:
            return _HUSHED
        if not closes:
            silent.append(begin)
        return ""
    if name == "img":
        picture = _PICTURE.search(tag)
        return f" {picture[1] or picture[2]} " if picture else " "
    if _BREAKS.fullmatch(name):
        return "\n\n" if name == "p" else "\n"
    return " " if _APART.fullmatch(name) else "" if _INLINE.fullmatch(name) else None


def _is_element(tag: str) -> bool:
    name = tag.lstrip("/").split(maxsplit=1)[0].lower()
    return any(kind.fullmatch(name) for kind in (_BREAKS, _APART, _INLINE))


def _at_most_two(match: re.Match[str]) -> str:
    return "\n\n" if match[0].count("\n") > 1 else "\n"


def _character(match: re.Match[str]) -> str:
    """The character that an entity names; the entity itself where there is no such character."""
    decimal, hexadecimal, name = match.groups()
    if name is not None:
        return html5.get(f"{name};", match[0])
    point = int(decimal) if decimal is not None else int(hexadecimal, 16)
    if 0x80 <= point <= 0x9F:  # what pages mean by these is an old encoding of Windows
        return bytes([point]).decode("cp1252", "ignore")
    is_text = 0x20 <= point < 0xD800 or 0xE000 <= point <= 0x10FFFF or point in (0x09, 0x0A, 0x0D)
    return chr(point) if is_text else ""
