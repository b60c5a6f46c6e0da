"""`firebreak read` says all that is read in each text of a file, whatever the text or the file holds."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from scorer import readout as module
from scorer.cli import app
from scorer.readout import AskedText, Readout, brand_called, hazard_of, read_asked
from scorer.sentiment.lexicon import Lexicon
from scorer.sentiment.model import Danger, DangerKind, Reading
from services.base.errors import ConfigError
from services.config.rule import TOPICS
from services.contracts.phrases import finder_of

FIELDS = {"text", "language", "sentiment", "complaint", "severity", "hazard", "read", "reason"}


def one(text: str, *, language: str | None = None, brand: str | None = None, always: tuple[str, ...] = ()) -> Any:
    brands = [brand] if brand else []
    return Readout(Lexicon(), brands, always).read([AskedText(text, language, brand)])[0]


def run(file: Path, *options: str) -> list[Any]:
    done = CliRunner().invoke(app, ["read", str(file), *options])
    assert done.exit_code == 0, done.output
    return [json.loads(line) for line in done.stdout.splitlines()]


def write_csv(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.DictWriter(file, list(rows[0]))
        out.writeheader()
        out.writerows(rows)
    return path


def test_the_shipped_model_reads_a_file_in_its_order(tmp_path: Path) -> None:
    rows = [
        {"text": "@KopiLane worst service ever, nobody answers", "language": "", "brand": "Kopi Lane"},
        {"text": "thank you so much,\nKopi Lane, lovely", "language": "en-GB", "brand": ""},
        {"text": "Поезд снова опаздывает на час, и никто ничего не говорит", "language": "", "brand": "Blue Rail"},
    ]
    target = tmp_path / "out.jsonl"
    assert run(write_csv(tmp_path / "posts.csv", rows), "--json", str(target), "--model", "shipped") == []
    angry, glad, russian = (json.loads(line) for line in target.read_text(encoding="utf-8").splitlines())
    assert [found["text"] for found in (angry, glad, russian)] == [row["text"] for row in rows]
    assert angry["sentiment"]["negative"] > 0.5 > glad["sentiment"]["negative"]
    assert angry["complaint"] > 0.5 > glad["complaint"]
    assert (angry["language"], glad["language"], russian["language"]) == ("en", "en", "ru")
    assert (angry["read"], angry["reason"]) == (True, None)
    assert (russian["read"], russian["reason"]) == (False, "language: ru")
    assert sum(russian["sentiment"].values()) == pytest.approx(1)
    assert angry["brands"] == [
        {"brand": "Kopi Lane", "meant": 1.0, "why": "the only brand in the text", "sentiment": angry["sentiment"]}
    ]
    assert "brands" not in glad
    assert russian["brands"][0]["meant"] == 0
    assert russian["brands"][0]["sentiment"] is None


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("posts.csv", 'text,other\nbad coffee,1\n"so,\nso",2\n'),
        ("posts.jsonl", '{"text": "bad coffee"}\n\n{"text": "so,\\nso", "other": [1]}\n'),
        ("posts.ndjson", '{"text": "bad coffee", "brand": null}\n{"text": "so,\\nso", "language": ""}'),
        ("posts.csv", '\ufefftext\r\nbad coffee\r\n"so,\nso"\r\n'),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_every_kind_of_file_gives_the_same_texts(tmp_path: Path, name: str, content: str, *, packed: bool) -> None:
    path = tmp_path / (f"{name}.gz" if packed else name)
    path.write_bytes(gzip.compress(content.encode()) if packed else content.encode())
    assert [asked.text for asked in read_asked(path)] == ["bad coffee", "so,\nso"]


def test_a_text_file_has_one_text_a_line_and_none_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "posts.txt"
    path.write_bytes("one\r\n\n  \nthe \u2028 last".encode())
    assert [asked.text for asked in read_asked(path)] == ["one", "", "  ", "the \u2028 last"]
    assert [found["reason"] for found in run(path, "--model", "lexicon")] == [None, "no words", "no words", None]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("posts.csv", b"body\nhello\n", "no column `text`"),
        ("posts.csv", b"", "no column `text`"),
        ("posts.jsonl", b'{"text": "a"}\n{"text": 3}\n', "posts.jsonl:2: `text` is no text"),
        ("posts.jsonl", b'{"text": "a"}\n["b"]\n', "posts.jsonl:2: expected an object"),
        ("posts.jsonl", b'{"text": "a"}\n{"txt": "b"}\n', "posts.jsonl:2: no `text`"),
        ("posts.jsonl", b'{"text": "a"}\n{"text": "b', "line 2 is not JSON"),
        ("posts.jsonl", b"[" * 100_000, "line 1 is not JSON"),
        ("posts.txt", b"\xff\xfe\xfa", "can't decode"),
        ("posts.txt.gz", b"no gzip", "gzip"),
        ("posts.txt.gz", gzip.compress(b"text " * 1000, mtime=0)[:30], "posts.txt.gz"),
        ("posts.xlsx", b"PK", "ends in"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_and_nothing_is_written(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    path, target = tmp_path / name, tmp_path / "out.jsonl"
    path.write_bytes(content)
    target.write_text("from before")
    done = CliRunner().invoke(app, ["read", str(path), "--json", str(target), "--model", "lexicon"])
    assert done.exit_code == 2
    with pytest.raises(ConfigError, match=said.replace("`", ".")):
        list(read_asked(path))
    assert target.read_text() == "from before"


def test_a_missing_file_is_no_traceback(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["read", str(tmp_path / "away.csv")])
    assert done.exit_code == 2


@pytest.mark.parametrize("text", ["", "\x00", "\ud83d", "a" * 30_000, "\u0301" * 5_000, "🔥" * 3_000, "@" * 9_000])
def test_no_text_is_too_odd_to_be_written(text: str) -> None:
    found = one(text, always=("Acme",))
    assert found.keys() == FIELDS | {"brands"}
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize(
    ("text", "probability", "category"),
    [
        ("the charger caught fire next to the cot", 0.9, "safety"),
        ("Der Zug brennt und alle schreien Feuer", 0.9, "safety"),
        ("see you in court, my lawyer has the papers", 0.9, "legal"),
        ("a lawyer, what a nice person", 0.5, "legal"),
        ("nice coffee", 0.0, None),
    ],
)
def test_a_hazard_is_told_by_its_words_in_any_language(text: str, probability: float, category: str | None) -> None:
    hazard = one(text)["hazard"]
    assert (hazard["probability"], hazard["category"]) == (pytest.approx(probability), category)
    assert bool(hazard["words"]) == (probability > 0)


@pytest.mark.parametrize(
    ("text", "danger", "probability", "category"),
    [
        ("nice coffee", Danger(DangerKind.FRAUD, 0.6, sure=False), 0.6, "breach"),
        ("nice coffee", Danger(DangerKind.FRAUD, 0.1, sure=False), 0.1, None),
        ("a lawyer, what a nice person", Danger(DangerKind.FIRE, 0.8, sure=True), 0.9, "legal"),
        ("the charger caught fire next to the cot", Danger(DangerKind.FIRE, 0.5, sure=False), 0.95, "safety"),
    ],
)
def test_words_and_the_model_are_two_witnesses_of_a_hazard(
    text: str, danger: Danger, probability: float, category: str | None
) -> None:
    hazard = hazard_of(finder_of(TOPICS).look(text), danger)
    assert (hazard["probability"], hazard["category"]) == (pytest.approx(probability), category)


@pytest.mark.parametrize(
    ("text", "brand", "others", "meant"),
    [
        ("Acme lost my bag", "Acme", (), True),
        ("nothing about anybody", "Acme", (), False),
        ("acmeair is another company", "Acme", (), False),
        ("@kopilane cold again", "Kopi Lane", (), True),
        ("#KopiLane cold again", "Kopi Lane", (), True),
        ("kopi lane cold again", "Kopi Lane", (), True),
        ("apple pie for lunch", "Apple", (), False),
        ("my Apple laptop is dead again", "Apple", (), True),
        ("Veloro beats Nordhaus every day", "Nordhaus", ("Veloro",), True),
        ("Veloro beats Nordhaus every day", "Veloro", ("Nordhaus",), False),
        ("ミライの電話がつながらない", "ミライ", (), True),
    ],
)
def test_a_brand_is_meant_by_the_rules_that_decide_for_posts(
    text: str, brand: str, others: tuple[str, ...], *, meant: bool
) -> None:
    found = next(about for about in one(text, brand=brand, always=others)["brands"] if about["brand"] == brand)
    assert (found["meant"] >= 0.5) is meant
    assert (found["sentiment"] is not None) is meant
    assert found["why"]


def test_each_text_is_asked_about_its_own_brand_and_those_of_all(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [{"text": "hi Acme", "brand": "Acme"}, {"text": "hi Acme", "brand": "Orbita"}])
    first, second = run(path, "--brand", "Veloro", "--brand", "Acme", "--model", "lexicon")
    assert [about["brand"] for about in first["brands"]] == ["Veloro", "Acme"]
    assert [about["brand"] for about in second["brands"]] == ["Veloro", "Acme", "Orbita"]


@pytest.mark.parametrize("name", ["", " ", "x" * 500])
def test_a_brand_without_a_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="no name of a brand"):
        brand_called(name, "b0")


def test_no_more_brands_are_looked_for_than_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BRANDS", 2)
    path = write_csv(tmp_path / "a.csv", [{"text": "hi", "brand": f"Brand{number}"} for number in range(3)])
    done = CliRunner().invoke(app, ["read", str(path), "--model", "lexicon"])
    assert done.exit_code == 2
    assert "at most 2" in " ".join(done.output.replace("│", " ").split())


def test_a_long_file_is_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_TEXTS", 3)
    asked: list[int] = []

    class Counting(Lexicon):
        def read(self, texts: Any, languages: Any) -> list[Reading]:
            asked.append(len(texts))
            return super().read(texts, languages)

    texts = [AskedText(f"word {number}") for number in range(8)]
    found = list(module.read_file(Readout(Counting()), texts))
    assert [one["text"] for one in found] == [one.text for one in texts]
    assert asked == [3, 3, 2]
