"""Compares language tags as BCP 47 means them, wherever languages meet: in reading, in rules and in silences. Pure.

Case does not count, `_` parts as `-` does, and what a tag says beside the language (script, region, variants) is another
question. Codes that were replaced stand for those that replaced them, and the languages that a macrolanguage encompasses for
the macrolanguage, as registries and networks mix them up: `nb-NO` is Norwegian, and `iw` is Hebrew.
"""

from __future__ import annotations

import re
from typing import Final

UNDETERMINED: Final = frozenset({"", "und", "mul", "mis", "zxx", "root", "unknown"})
"""What says nothing about the language of a text."""
_PARTS: Final = re.compile(r"[-_\s.@]+")
_CODE: Final = re.compile(r"[a-z]{2,3}")
_PRIVATE: Final = re.compile(r"q[a-t][a-z]|art|x|i")
"""Private use: X's `qme` and others for posts that hold only handles, links, media or hashtags."""
_SAME: Final = {
    # Replaced in ISO 639-1.
    "iw": "he", "in": "id", "ji": "yi", "jw": "jv", "mo": "ro", "sh": "sr",
    # Encompassed by a macrolanguage (RFC 5646, 4.1.1), or the other name of the same language.
    "nb": "no", "nn": "no", "cmn": "zh", "zsm": "ms", "arb": "ar", "arz": "ar", "ary": "ar", "apc": "ar",
    "afb": "ar", "acm": "ar", "ajp": "ar", "pes": "fa", "prs": "fa", "swh": "sw", "fil": "tl", "ekk": "et", "lvs": "lv",
    "npi": "ne", "ory": "or", "azj": "az", "khk": "mn", "uzn": "uz", "gsw": "de", "ydd": "yi", "als": "sq", "plt": "mg",
    # ISO 639-2 and 639-3 for what has a shorter code.
    "eng": "en", "deu": "de", "ger": "de", "fra": "fr", "fre": "fr", "spa": "es", "por": "pt", "ita": "it", "nld": "nl",
    "dut": "nl", "pol": "pl", "tur": "tr", "rus": "ru", "ukr": "uk", "ara": "ar", "hin": "hi", "urd": "ur", "ben": "bn",
    "tam": "ta", "ind": "id", "msa": "ms", "may": "ms", "tgl": "tl", "vie": "vi", "tha": "th", "zho": "zh", "chi": "zh",
    "jpn": "ja", "kor": "ko", "heb": "he", "fas": "fa", "per": "fa", "swe": "sv", "nor": "no", "nob": "no", "nno": "no",
    "dan": "da", "fin": "fi", "ces": "cs", "cze": "cs", "slk": "sk", "slo": "sk", "ron": "ro", "rum": "ro", "hun": "hu",
    "ell": "el", "gre": "el", "bul": "bg", "hrv": "hr", "srp": "sr", "cat": "ca", "swa": "sw", "est": "et", "lav": "lv",
    "lit": "lt", "slv": "sl", "nep": "ne", "mar": "mr", "tel": "te", "guj": "gu", "kan": "kn", "mal": "ml", "pan": "pa",
}  # fmt: skip
_MACRO_OF: Final = {"yue": "zh", "nan": "zh", "hak": "zh", "wuu": "zh"}
"""Languages of their own that are usually tagged as the macrolanguage: a rule for Chinese wants them, too."""


def language(tag: str | None) -> str | None:
    """The language of a tag as a code of ISO 639, in one spelling for each language; `None` if it says nothing."""
    parts = [part for part in _PARTS.split((tag or "").strip().lower()) if part]
    if not parts:
        return None
    # `zh-yue` and `zh-cmn` are tags of an older kind: the extension is the language.
    code = parts[1] if len(parts) > 1 and parts[1] in _MACRO_OF and _MACRO_OF[parts[1]] == parts[0] else parts[0]
    if code in UNDETERMINED or _PRIVATE.fullmatch(code) or not _CODE.fullmatch(code):
        return None
    return _SAME.get(code, code)


def is_language(found: str | None, wanted: str) -> bool:
    """Returns True if a text with the tag `found` is in the language that somebody asked for: `nb-NO` is `no`.

    A macrolanguage takes in the languages that it encompasses (Cantonese is Chinese), and not the other way round.
    """
    one, other = language(found), language(wanted)
    return one is not None and (one == other or _MACRO_OF.get(one) == other)
