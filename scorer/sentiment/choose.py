"""The sentiment model that a name stands for. Loads only what that model needs."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import cast

from scorer.sentiment.model import SentimentModel
from services.base.errors import ConfigError

SHIPPED = "shipped"
LEXICON = "lexicon"


def choose(name: str | None = None, truncated: Callable[[int], None] = lambda _: None) -> SentimentModel:
    """`shipped` (or nothing): the model in the package; `lexicon`: the word list; a directory with `model.onnx`: a
    model of our own kind; anything else: a Hugging Face sequence classifier, by directory or hub id. Raises
    `ConfigError`."""
    if name == LEXICON:
        return cast("SentimentModel", import_module("scorer.sentiment.lexicon").Lexicon())
    from scorer.sentiment.onnx import OnnxModel

    if name in (None, SHIPPED):
        return OnnxModel(truncated=truncated)
    if (Path(str(name)) / "model.onnx").is_file():
        return OnnxModel(Path(str(name)), truncated=truncated)
    try:
        from scorer.sentiment.torch import TorchModel
    except ModuleNotFoundError as trouble:
        raise ConfigError(f"the sentiment model {name!r} needs torch: pip install 'firebreak[torch]'") from trouble
    return TorchModel(str(name), truncated=truncated)
