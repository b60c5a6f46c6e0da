"""Judges the reader on what was kept back: by set and language, and for danger at a fixed rate of false alarms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer

from scorer.sentiment.calibration import expected_calibration_error
from scorer.sentiment.evaluate import f1, macro_f1, macro_recall
from scorer.training.bars import FALSE_ALARMS, rank_auc, recall_at
from scorer.training.corpora import Example
from scorer.training.reader_corpora import HEADS
from scorer.training.reader_network import ORDERED, ReaderNetwork, grade_shares

Shares = dict[str, npt.NDArray[np.float64]]


def read_shares(
    network: ReaderNetwork, tokenizer: Tokenizer, texts: Sequence[str], *, half: bool, batch: int = 64
) -> Shares:
    """By head, the probability of each class [texts, classes], in the order of the texts."""
    was_training = network.training
    network.eval()
    ids = [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    out = {head: np.zeros((len(ids), len(names))) for head, names in HEADS.items()}
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        width = max(len(ids[i]) for i in rows)
        padded = torch.tensor([ids[i] + [0] * (width - len(ids[i])) for i in rows])
        mask = torch.tensor([[1] * len(ids[i]) + [0] * (width - len(ids[i])) for i in rows])
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=half):
            logits: dict[str, Any] = network(padded, mask)
        for head, values in logits.items():
            shares = grade_shares(values) if head == ORDERED else values.double().softmax(1)
            out[head][rows] = shares.numpy()
    network.train(was_training)
    return out


def judge_reader(
    network: ReaderNetwork, tokenizer: Tokenizer, kept: dict[str, list[Example]], *, half: bool
) -> dict[str, float]:
    """The figures of each fold, by name, rounded to four digits."""
    figures: dict[str, float] = {}
    for name, examples in kept.items():
        shares = read_shares(network, tokenizer, [one.text for one in examples], half=half)
        figures |= {f"{name} {what}": round(value, 4) for what, value in figures_of(shares, examples).items()}
    return figures


def figures_of(shares: Shares, examples: Sequence[Example]) -> dict[str, float]:
    """What the labels of these examples allow to say."""
    out: dict[str, float] = {}
    for head in HEADS:
        rows = [i for i, one in enumerate(examples) if head in one.labels]
        truth = np.array([examples[i].labels[head] for i in rows], np.int64)
        if len(np.unique(truth)) < 2:
            continue
        said = shares[head][rows]
        guess = said.argmax(1)
        if head == "sentiment":
            out |= {"macro recall": macro_recall(truth, guess), "macro f1": macro_f1(truth, guess)}
            out |= {"negative f1": f1(truth, guess, 0), "ece": expected_calibration_error(said, truth)}
        elif head == "complaint":
            out |= {"complaint macro f1": macro_f1(truth, guess), "complaint auc": rank_auc(said[:, 1], truth == 1)}
        elif head == "hazard":
            danger = 1 - said[:, 0]
            out["hazard recall"] = recall_at(danger, truth != 0, FALSE_ALARMS)
            out["hazard auc"] = rank_auc(danger, truth != 0)
        else:
            out["severity distance"] = float(np.abs(said @ np.arange(said.shape[1]) - truth).mean())
    return out
