"""Runs any Hugging Face sequence classifier that tells negative from positive, by its directory or hub id; in bf16 on a GPU
where there is one.

This is the only module in use that needs torch; it is loaded only if such a model is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import structlog
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from scorer.sentiment.calibration import LABELS
from scorer.sentiment.language import LanguageGate
from scorer.sentiment.model import Reading
from scorer.sentiment.onnx import NO_TEXT, NO_WORDS
from scorer.sentiment.text import MAX_TOKENS, says_something, spell
from services.base.errors import ConfigError

logger = structlog.get_logger()

BATCH_TOKENS = {"cpu": 2048, "cuda": 32_768}
"""Tokens of a batch by type of device, padding included."""
_LONGEST = 512

_MEANINGS: tuple[tuple[int, re.Pattern[str]], ...] = (
    (0, re.compile(r"^(?:very[ _-]?)?(?:neg(?:ative)?|bad|[12][ _-]?stars?)$", re.IGNORECASE)),
    (1, re.compile(r"^(?:neu(?:tral)?|mixed|3[ _-]?stars?)$", re.IGNORECASE)),
    (2, re.compile(r"^(?:very[ _-]?)?(?:pos(?:itive)?|good|[45][ _-]?stars?)$", re.IGNORECASE)),
)


def map_labels(id2label: dict[int, str]) -> list[int]:
    """For each class of a classifier, the number of ours that it stands for (`LABELS`). A missing neutral always gets 0.

    Raises `ConfigError` if a class cannot be understood, or if negative or positive is missing.
    """
    mapped: list[int] = []
    for index in range(len(id2label)):
        label = str(id2label[index]).strip()
        meanings = [ours for ours, pattern in _MEANINGS if pattern.match(label)]
        if not meanings:
            raise ConfigError(
                f"the classifier's label {label!r} is none of negative, neutral, positive (or 1 to 5 stars): "
                "give `id2label` in its config.json names that say what they mean"
            )
        mapped += meanings
    missing = [LABELS[ours] for ours in (0, 2) if ours not in mapped]
    if missing:
        raise ConfigError(f"the classifier has no label for {' and '.join(missing)}, only {sorted(id2label.values())}")
    return mapped


class TorchModel:
    """Reads with the classifier that `source` names. `languages` are those that it was trained on, `None` for any. Such
    classifiers tell no complaint and no severity. Raises `ConfigError` if it cannot be loaded."""

    degraded = False

    def __init__(
        self,
        source: str,
        *,
        languages: frozenset[str] | None = None,
        truncated: Callable[[int], None] = lambda _: None,
        device: str | None = None,
    ) -> None:
        try:
            tokenizer: Any = AutoTokenizer.from_pretrained(source)
            network: Any = AutoModelForSequenceClassification.from_pretrained(source)
        except (OSError, ValueError) as trouble:
            raise ConfigError(f"no sequence classifier can be loaded from {source!r}: {trouble}") from trouble
        self._classes = map_labels(network.config.id2label)
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._half = self._device.type == "cuda" and torch.cuda.is_bf16_supported()
        self._network = network.to(self._device, torch.bfloat16 if self._half else torch.float32).eval()
        self._tokenizer = tokenizer
        # A tokenizer without a limit says 1e30; the number of positions is lower.
        self._limit = min(MAX_TOKENS, getattr(network.config, "max_position_embeddings", _LONGEST) - 2)
        self._gate = LanguageGate(trained=languages) if languages is not None else None
        self._truncated = truncated
        self._name = f"{source} {'bf16' if self._half else 'fp32'}"
        logger.info(
            "sentiment model ready",
            model=self._name,
            runtime=f"torch {torch.__version__}",
            provider=torch.cuda.get_device_name(self._device) if self._device.type == "cuda" else "cpu",
            labels={network.config.id2label[i]: LABELS[ours] for i, ours in enumerate(self._classes)},
        )

    @property
    def name(self) -> str:
        return self._name

    def read(self, texts: Sequence[str], languages: Sequence[str | None]) -> list[Reading]:
        """One reading for each text, in order."""
        readings: list[Reading] = [NO_TEXT] * len(texts)
        wanted: list[tuple[int, str, str | None]] = []
        for place, (text, language) in enumerate(zip(texts, languages, strict=True)):
            words = spell(text, name_signs=False)
            if not says_something(words):
                readings[place] = NO_WORDS if words else NO_TEXT
                continue
            wanted.append((place, words, self._gate.refuse(words, language) if self._gate else None))
        for (place, _, refusal), reading in zip(
            wanted, self._read_spelled([words for _, words, _ in wanted]), strict=True
        ):
            readings[place] = replace(reading, abstain=refusal) if refusal else reading
        return readings

    def _read_spelled(self, texts: list[str]) -> list[Reading]:
        if not texts:
            return []
        ids: list[list[int]] = self._tokenizer(texts)["input_ids"]
        if too_long := sum(len(one) > self._limit for one in ids):
            self._truncated(too_long)
            ids = self._tokenizer(texts, truncation=True, max_length=self._limit)["input_ids"]
        readings: list[Reading | None] = [None] * len(texts)
        order = sorted(range(len(ids)), key=lambda place: len(ids[place]))
        start = 0
        while start < len(order):
            end = start + 1
            while end < len(order) and len(ids[order[end]]) * (end + 1 - start) <= BATCH_TOKENS[self._device.type]:
                end += 1
            rows = order[start:end]
            for place, shares in zip(rows, self._run([ids[place] for place in rows]), strict=True):
                readings[place] = Reading(shares[0], shares[1], shares[2])
            start = end
        return [reading for reading in readings if reading is not None]

    def _run(self, ids: list[list[int]]) -> list[list[float]]:
        padded = self._tokenizer.pad({"input_ids": ids}, return_tensors="pt").to(self._device)
        with torch.inference_mode():
            logits = self._network(input_ids=padded["input_ids"], attention_mask=padded["attention_mask"]).logits
        shares = logits.double().softmax(dim=1)
        ours = torch.zeros(len(ids), len(LABELS), dtype=torch.float64, device=shares.device)
        ours.index_add_(1, torch.tensor(self._classes, device=shares.device), shares)
        found: list[list[float]] = ours.cpu().tolist()
        return found
