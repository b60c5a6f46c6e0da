"""Nothing of ours phones home, the libraries that read customers' posts included."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest

from scorer.sentiment.onnx import OnnxModel

NAME = "ORT_DISABLE_TELEMETRY"


class Looked(ImportError):
    """The runtime is about to be imported."""


class Watch:
    """Stands before every other finder."""

    def find_spec(self, name: str, _path: Sequence[str] | None, _target: ModuleType | None = None) -> ModuleSpec | None:
        if name == "onnxruntime":
            raise Looked(os.environ.get(NAME))
        return None


def test_the_model_s_runtime_is_told_not_to_report_before_it_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(NAME, raising=False)
    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Watch(), *sys.meta_path])
    with pytest.raises(Looked) as looked:
        OnnxModel()
    assert str(looked.value) == "1"
