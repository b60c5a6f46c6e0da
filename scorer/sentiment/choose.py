"""Chooses the sentiment model by its name, and loads only what that model needs."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

from scorer import manifest
from scorer.sentiment.model import SentimentModel
from services.base.errors import ConfigError

if TYPE_CHECKING:
    from scorer.sentiment.language import LanguageGate
    from scorer.sentiment.onnx import OnnxModel

SHIPPED = "shipped"
ENGLISH = "english"
LEXICON = "lexicon"


def choose(name: str | None = None, truncated: Callable[[int], None] = lambda _: None) -> SentimentModel:
    """The model called `name`: what is in the package for `shipped` or nothing (`scorer.sentiment.routing`), the English half
    of it for `english`, the word list for `lexicon`, a model of our own kind for a directory with a `model.onnx`, and otherwise
    a Hugging Face sequence classifier, by its directory or hub id.

    `truncated` is told how many texts were too long. Raises `ConfigError` if the model cannot be loaded, and `Damaged` if its
    files are not those that were made.
    """
    if name == LEXICON:
        return cast("SentimentModel", import_module("scorer.sentiment.lexicon").Lexicon())
    from scorer.sentiment.language import LanguageGate
    from scorer.sentiment.onnx import FILES, OnnxModel
    from scorer.sentiment.onnx import SHIPPED as OURS

    if name in (None, SHIPPED, ENGLISH):
        manifest.verify(OURS, *FILES)
        gate = LanguageGate()
        english = OnnxModel(truncated=truncated, gate=gate)
        return english if name == ENGLISH else _with_reader(english, gate, truncated)
    if (Path(str(name)) / "model.onnx").is_file():
        return OnnxModel(Path(str(name)), truncated=truncated)
    try:
        from scorer.sentiment.torch import TorchModel
    except ModuleNotFoundError as trouble:
        raise ConfigError(f"the sentiment model {name!r} needs torch: pip install 'firebreak[torch]'") from trouble
    return TorchModel(str(name), truncated=truncated)


def _with_reader(english: OnnxModel, gate: LanguageGate, truncated: Callable[[int], None]) -> SentimentModel:
    from scorer.sentiment import reader
    from scorer.sentiment.routing import Routed

    manifest.verify(reader.SHIPPED, *reader.FILES)
    return Routed(english, reader.Reader(truncated=truncated), gate)
