"""Language tags as clients write them (BCP 47, or with `_` as POSIX and Java have it), brought into one form. Pure."""

from __future__ import annotations

from typing import Final

_TWO_LETTERS: Final = frozenset(
    """
    aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de
    dv dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id
    ie ig ii ik in io is it iu iw ja ji jv jw ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li
    ln lo lt lu lv mg mh mi mk ml mn mo mr ms mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa
    pi pl ps pt qu rm rn ro ru rw sa sc sd se sg sh si sk sl sm sn so sq sr ss st su sv sw ta te tg th
    ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu
    """.split()  # noqa: SIM905 - a list of them would be ten times as long
)
"""All that ISO 639-1 ever assigned, the withdrawn ones too. Three letters are too many to list: they are taken as they are."""


def language_tag(claimed: str) -> str | None:
    """The tag with its first part in lower case, because `EN-us` and `en-us` are the same language; `None` if there is none
    with such a code."""
    first, dash, rest = claimed.replace("_", "-").partition("-")
    first = first.lower()
    return first + dash + rest if len(first) > 2 or first in _TWO_LETTERS else None
