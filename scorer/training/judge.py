"""Judges a network on posts that it was not trained on."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer

from scorer.training.corpora import VALIDATION, Example, Source, read_source
from scorer.training.network import MoodNetwork

FOREIGN = Source("airline/train", "measured only, never learned from", task="sentiment")
"""Posts to brands of another kind, which show how far the network carries over."""
FOREIGN_POSTS = 2_000


def read_all(
    network: MoodNetwork, tokenizer: Tokenizer, texts: list[str], device: torch.device, batch: int = 64
) -> dict[str, npt.NDArray[np.float32]]:
    """The logits of each head [texts, classes], in the order of the texts."""
    network.eval()
    ids = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    out: dict[str, npt.NDArray[np.float32]] = {}
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        width = max(len(ids[i]) for i in rows)
        padded = torch.tensor([ids[i] + [0] * (width - len(ids[i])) for i in rows])
        mask = torch.tensor([[1] * len(ids[i]) + [0] * (width - len(ids[i])) for i in rows])
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16):
            logits = network(padded.to(device), mask.to(device))
        for head, values in logits.items():
            out.setdefault(head, np.zeros((len(ids), values.shape[1]), np.float32))[rows] = values.float().cpu().numpy()
    network.train()
    return out


def recalls(truth: npt.NDArray[np.int64], guess: npt.NDArray[np.int64]) -> list[float]:
    return [float((guess[truth == c] == c).mean()) for c in np.unique(truth)]


def f1(truth: npt.NDArray[np.int64], guess: npt.NDArray[np.int64], which: int) -> float:
    hit = int(((truth == which) & (guess == which)).sum())
    return 2 * hit / max(1, int((truth == which).sum() + (guess == which).sum()))


def judge(
    network: MoodNetwork, tokenizer: Tokenizer, kept: dict[str, list[Example]], data: Path, device: torch.device
) -> dict[str, float]:
    """Macro recall, macro F1 and F1 of the negative class, on what was kept back and on `FOREIGN`, by name."""
    rng = random.Random(0)  # noqa: S311 - the same posts every time
    foreign = rng.sample(read_source(data, FOREIGN), FOREIGN_POSTS)
    figures: dict[str, float] = {}
    for name, examples in [*kept.items(), (FOREIGN.file, foreign)]:
        logits = read_all(network, tokenizer, [example.text for example in examples], device)
        for head in ("sentiment", "complaint", "severity"):
            rows = [i for i, example in enumerate(examples) if head in example.labels]
            if not rows:
                continue
            truth = np.array([examples[i].labels[head] for i in rows])
            guess = logits[head][rows].argmax(1)
            figures[f"{name} {head} macro recall"] = float(np.mean(recalls(truth, guess)))
            figures[f"{name} {head} macro f1"] = float(np.mean([f1(truth, guess, c) for c in np.unique(truth)]))
            if head == "sentiment":
                figures[f"{name} negative f1"] = f1(truth, guess, 0)
    assert f"{VALIDATION} sentiment macro recall" in figures
    return figures
