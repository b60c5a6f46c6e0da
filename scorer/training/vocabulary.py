"""Cuts a vocabulary of a hundred languages to what the claimed ones use: four fifths of a small multilingual network are the
vectors of its pieces.

Every piece that our texts are made of stays, so these are read as before. The rest of the room goes to the most frequent
other pieces in the scripts of these texts: a word that we have never seen is then less often spelled out in letters. What the
others spelled is spelled in smaller pieces from then on."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

SPECIAL: Final = 4
"""Pieces that come first and are no text: begin, padding, end, unknown."""
_LEAST_LETTERS: Final = 50
"""A script of which our texts hold fewer letters got there by accident."""
_BEGIN: Final = "\u2581"


def count_pieces(tokenizer: Tokenizer, texts: Iterable[str]) -> Counter[int]:
    """How often each piece stands in these texts, by its number."""
    used: Counter[int] = Counter()
    for encoding in tokenizer.encode_batch(list(texts)):
        used.update(encoding.ids)
    return used


def script_of(letter: str) -> str:
    """The script of a letter, as far as the name that Unicode gives it says so; empty for signs and digits."""
    return unicodedata.name(letter, "").split(" ", 1)[0] if letter.isalpha() else ""


def scripts_of(texts: Iterable[str]) -> frozenset[str]:
    """The scripts that these texts are written in."""
    letters = Counter(letter for text in texts for letter in text)
    scripts: Counter[str] = Counter()
    for letter, count in letters.items():
        scripts[script_of(letter)] += count
    return frozenset(script for script, count in scripts.items() if count >= _LEAST_LETTERS or not script)


def choose_pieces(pieces: list[tuple[str, float]], used: Counter[int], scripts: frozenset[str], most: int) -> list[int]:
    """The numbers of the pieces that stay, in order: the special ones, single letters and signs in these scripts, those that
    are `used`, and as many of the others in these scripts, by their frequency, as make `most`."""

    def fits(piece: str) -> bool:
        return all(script_of(letter) in scripts for letter in piece.removeprefix(_BEGIN))

    kept = set(range(SPECIAL)) | set(used)
    kept |= {n for n, (piece, _) in enumerate(pieces) if len(piece.removeprefix(_BEGIN)) <= 1 and fits(piece)}
    others = [n for n in range(len(pieces)) if n not in kept and fits(pieces[n][0])]
    others.sort(key=lambda n: -pieces[n][1])
    return sorted(kept | set(others[: max(0, most - len(kept))]))


def cut_tokenizer(tokenizer: Tokenizer, kept: list[int]) -> Tokenizer:
    """The tokenizer with these pieces alone, numbered anew in their order. Raises `ValueError` if it is not made of pieces with
    frequencies (Unigram), or if a special piece is not kept."""
    layout: dict[str, Any] = json.loads(tokenizer.to_str())
    if layout["model"]["type"] != "Unigram":
        raise ValueError(f"a vocabulary of {layout['model']['type']} cannot be cut")
    if kept[:SPECIAL] != list(range(SPECIAL)):
        raise ValueError("the special pieces have to stay")
    layout["model"]["vocab"] = [layout["model"]["vocab"][number] for number in kept]
    return Tokenizer.from_str(json.dumps(layout))


def cut_table(table: npt.NDArray[np.float32], kept: list[int]) -> npt.NDArray[np.float32]:
    """The rows of the table of vectors that belong to the pieces that stay."""
    return np.ascontiguousarray(table[kept])
