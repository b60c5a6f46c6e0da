"""A vocabulary that was cut reads what we have as before, and spells the rest in smaller pieces."""

from __future__ import annotations

import json
from collections import Counter
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from scorer.training.vocabulary import choose_pieces, count_pieces, cut_table, cut_tokenizer, script_of, scripts_of

PIECES = [
    ("<s>", 0.0),
    ("<pad>", 0.0),
    ("</s>", 0.0),
    ("<unk>", 0.0),
    ("\u2581hello", -3.0),
    ("\u2581hell", -5.0),
    ("\u2581", -4.0),
    ("o", -6.0),
    ("h", -6.5),
    ("e", -6.5),
    ("l", -6.5),
    ("\u2581жизнь", -3.5),
    ("ж", -7.0),
    ("\u2581lo", -4.5),
    ("\u2581world", -9.0),
    ("!", -5.0),
]


def tokenizer() -> Any:
    tokenizers: Any = import_module("tokenizers")
    made = tokenizers.Tokenizer(tokenizers.models.Unigram(PIECES, unk_id=3))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace(replacement="\u2581", prepend_scheme="always")
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return made


def kept(texts: list[str], most: int) -> list[int]:
    used = count_pieces(tokenizer(), texts)
    return choose_pieces(PIECES, used, frozenset({"LATIN", ""}), most)


def test_what_we_have_is_read_as_before() -> None:
    texts = ["hello hello!", "hell o"]
    small = cut_tokenizer(tokenizer(), kept(texts, 0))
    assert len(small.get_vocab()) < len(PIECES)
    for text in texts:
        assert small.encode(text).tokens == tokenizer().encode(text).tokens


def test_each_piece_keeps_its_own_vector() -> None:
    stays = kept(["hello!"], 0)
    table = np.arange(len(PIECES) * 2, dtype=np.float32).reshape(-1, 2)
    small = cut_tokenizer(tokenizer(), stays)
    rows = cut_table(table, stays)
    assert len(rows) == small.get_vocab_size()
    before, after = tokenizer().encode("hello!"), small.encode("hello!")
    assert before.tokens == after.tokens
    assert rows[after.ids].tolist() == table[before.ids].tolist()


def test_what_is_gone_is_spelled_in_smaller_pieces() -> None:
    stays = [number for number in range(len(PIECES)) if PIECES[number][0] != "\u2581hello"]
    assert cut_tokenizer(tokenizer(), stays).encode("hello").tokens == ["<s>", "\u2581hell", "o", "</s>"]


def test_room_goes_to_the_most_frequent_pieces_of_scripts_that_we_have() -> None:
    least = kept(["hello"], 0)
    names = {PIECES[number][0] for number in kept(["hello"], len(least) + 2)} - {PIECES[number][0] for number in least}
    assert names == {"\u2581lo", "\u2581hell"}
    assert "\u2581жизнь" not in {PIECES[number][0] for number in kept(["hello"], 100)}
    assert {PIECES[number][0] for number in least} >= {"o", "h", "e", "l", "!", "<unk>"}


def test_a_script_is_ours_if_we_write_in_it() -> None:
    assert script_of("é") == "LATIN"
    assert script_of("ж") == "CYRILLIC"
    assert script_of("7") == ""
    assert scripts_of(["ordinary words " * 10, "один"]) == {"LATIN", ""}


@pytest.mark.parametrize("stays", [[0, 1, 2, 4], []])
def test_the_special_pieces_have_to_stay(stays: list[int]) -> None:
    with pytest.raises(ValueError, match="have to stay"):
        cut_tokenizer(tokenizer(), stays)


def test_another_kind_of_vocabulary_is_refused() -> None:
    tokenizers: Any = import_module("tokenizers")
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
    with pytest.raises(ValueError, match="cannot be cut"):
        cut_tokenizer(words, [0, 1, 2, 3])
    assert json.loads(words.to_str())["model"]["type"] == "WordLevel"
    assert count_pieces(words, ["x"]) == Counter({0: 1})
