"""Trains the sentiment model that ships: one small encoder with several heads, on all public posts that may be used for it.

    python -m scorer.training.sentiment --data ../shared/data --base DIR --out build/sentiment

It is fine-tuned on several tasks at once, with logit-adjusted cross-entropy (Menon et al., 2021: the log prior of each class
is added to the logits while training, so that the bare logits treat rare classes fairly), label smoothing, and an exponential
moving average of the weights, which is what is judged and exported. On one machine the same seed gives the same network. A
training that was stopped goes on from its checkpoint."""

from __future__ import annotations

import json
import math
import os
import platform
import random
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.progress import Progress
from tokenizers import Tokenizer
from torch import Tensor, nn

from scorer.sentiment.text import MAX_TOKENS
from scorer.training.corpora import HEADS, POLISH, SOURCES, Corpus, Example, gather
from scorer.training.judge import judge
from scorer.training.network import MoodNetwork, load_base

UNLABELLED = -100


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides how the network turns out."""

    seed: int = 0
    epochs: float = 2.5
    batch: int = 64
    rate: float = 1.5e-4
    """The learning rate of the encoder; that of the fresh heads is `head_factor` times as high."""
    head_factor: float = 5.0
    weight_decay: float = 0.01
    warm_up: float = 0.06
    smoothing: float = 0.05
    prior_strength: float = 1.0
    ema: float = 0.998
    clip: float = 1.0
    weights: tuple[tuple[str, float], ...] = (
        ("sentiment", 1.0),
        ("complaint", 1.0),
        ("severity", 0.5),
        ("emotion", 0.5),
        ("irony", 0.3),
        ("offensive", 0.3),
    )


@dataclass(frozen=True, slots=True)
class Batch:
    """Token ids and mask [batch, length], and the labels [batch] of each head (`UNLABELLED` where there is none)."""

    ids: Tensor
    mask: Tensor
    labels: dict[str, Tensor]


def draw_epoch(corpus: Corpus, seed: int) -> list[Example]:
    """The examples of one epoch in random order, each source as often as it says (`Source.times`)."""
    rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
    drawn: list[Example] = []
    for source, examples in corpus.learn.items():
        whole = int(source.times)
        drawn += examples * whole
        drawn += rng.sample(examples, round(len(examples) * (source.times - whole)))
    rng.shuffle(drawn)
    return drawn


def make_batches(examples: list[Example], tokenizer: Tokenizer, size: int, seed: int) -> Iterator[Batch]:
    """Yields batches of texts of similar length, in random order. Texts are sorted within chunks of 50 batches, which saves
    padding without fixing their order."""
    rng = random.Random(seed)  # noqa: S311 - reproducible, not secret
    ids = [encoding.ids for encoding in tokenizer.encode_batch([example.text for example in examples])]
    batches: list[list[int]] = []
    for start in range(0, len(examples), 50 * size):
        chunk = sorted(range(start, min(start + 50 * size, len(examples))), key=lambda i: len(ids[i]))
        batches += [chunk[i : i + size] for i in range(0, len(chunk), size)]
    rng.shuffle(batches)
    for batch in batches:
        yield collate([ids[i] for i in batch], [examples[i].labels for i in batch])


def collate(ids: list[list[int]], labels: list[dict[str, int]]) -> Batch:
    """The batch of these token ids and labels, padded to the longest text."""
    width = max(map(len, ids))
    padded = torch.zeros(len(ids), width, dtype=torch.long)
    mask = torch.zeros(len(ids), width, dtype=torch.long)
    for row, tokens in enumerate(ids):
        padded[row, : len(tokens)] = torch.tensor(tokens)
        mask[row, : len(tokens)] = 1
    return Batch(padded, mask, {head: torch.tensor([one.get(head, UNLABELLED) for one in labels]) for head in HEADS})


def count_priors(corpus: Corpus) -> dict[str, Tensor]:
    """By head, the logarithm of the share of each class in what is learned."""
    counts = {head: np.ones(len(names)) for head, names in HEADS.items()}
    for source, examples in corpus.learn.items():
        for example in examples:
            for head, label in example.labels.items():
                counts[head][label] += source.times
    return {head: torch.tensor(np.log(count / count.sum()), dtype=torch.float32) for head, count in counts.items()}


def loss_of(logits: dict[str, Tensor], batch: Batch, priors: dict[str, Tensor], recipe: Recipe) -> Tensor:
    """The loss of a batch. A labelled example counts the same for its head, however many others of its batch have a label."""
    total = logits["sentiment"].new_zeros((), dtype=torch.float32)
    for head, weight in recipe.weights:
        adjusted = logits[head].float() + recipe.prior_strength * priors[head]
        total = total + weight / len(batch.ids) * nn.functional.cross_entropy(
            adjusted, batch.labels[head], ignore_index=UNLABELLED, label_smoothing=recipe.smoothing, reduction="sum"
        )
    return total


class TrainingRun:
    """A training that can be stopped at any step and taken up again."""

    SAVE_SECONDS = 180.0

    def __init__(self, network: MoodNetwork, recipe: Recipe, steps: int, directory: Path, device: torch.device) -> None:
        self.network = network.to(device)
        self.recipe = recipe
        self.steps = steps
        self.device = device
        self.step = 0
        self.checkpoint = directory / "checkpoint.pt"
        self.ema = {name: value.detach().clone() for name, value in network.state_dict().items()}
        decays = [p for n, p in network.named_parameters() if p.ndim > 1 and not n.startswith("heads")]
        plain = [p for n, p in network.named_parameters() if p.ndim <= 1 and not n.startswith("heads")]
        heads = list(network.heads.parameters())
        self.optimizer = torch.optim.AdamW(
            [
                {"params": decays, "weight_decay": recipe.weight_decay, "factor": 1.0},
                {"params": plain, "weight_decay": 0.0, "factor": 1.0},
                {"params": heads, "weight_decay": recipe.weight_decay, "factor": recipe.head_factor},
            ],
            lr=recipe.rate,
            fused=True,
        )
        self._saved_at = time.monotonic()

    def resume(self) -> bool:
        """Take up the checkpoint. Returns False if there is none, or none of the same recipe, whatever its number of epochs."""
        if not self.checkpoint.is_file():
            return False
        state = torch.load(self.checkpoint, map_location=self.device, weights_only=True)
        stored = json.loads(state["recipe"])
        if stored | {"epochs": 0} != json.loads(json.dumps(asdict(self.recipe))) | {"epochs": 0}:
            return False
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.ema = state["ema"]
        self.step = state["step"]
        torch.set_rng_state(state["rng"].cpu())
        return True

    def save(self) -> None:
        """Write the checkpoint; the old one stays until the new one is complete."""
        state = {
            "recipe": json.dumps(asdict(self.recipe)),
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "ema": self.ema,
            "step": self.step,
            "rng": torch.get_rng_state(),
        }
        fresh = self.checkpoint.with_suffix(".new")
        torch.save(state, fresh)
        fresh.replace(self.checkpoint)
        self._saved_at = time.monotonic()

    def take(self, batch: Batch, priors: dict[str, Tensor]) -> float:
        """Take one step. Returns the loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate * group["factor"] * self._pace()
        with torch.autocast(self.device.type, torch.bfloat16):
            logits = self.network(batch.ids.to(self.device), batch.mask.to(self.device))
        on_device = Batch(
            batch.ids, batch.mask, {head: labels.to(self.device) for head, labels in batch.labels.items()}
        )
        loss = loss_of(logits, on_device, priors, self.recipe)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        # A short memory at first, so that the average does not drag the base's weights along.
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, value in self.network.state_dict().items():
                if value.is_floating_point():
                    self.ema[name].lerp_(value, 1 - decay)
        if time.monotonic() - self._saved_at > self.SAVE_SECONDS:
            self.save()
        return float(loss.detach())

    def _pace(self) -> float:
        """The share of the learning rate at this step: it rises while warming up, then falls to zero."""
        warm = max(1, int(self.recipe.warm_up * self.steps))
        if self.step < warm:
            return (self.step + 1) / warm
        return max(0.0, (self.steps - self.step) / (self.steps - warm))


def train(data: Path, base: Path, out: Path, recipe: Recipe, start: Path | None = None) -> dict[str, Any]:
    """Trains from the base, or from the weights of a first stage (`start`). After each epoch the network is judged, and
    `network.pt` (the averaged weights) and `report.json` are written. Returns the report."""
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    corpus = gather(data, POLISH if start else SOURCES)
    priors = {head: prior.to(device) for head, prior in count_priors(corpus).items()}
    per_epoch = math.ceil(len(draw_epoch(corpus, recipe.seed)) / recipe.batch)
    network = load_base(base)
    if start:
        network.load_state_dict(torch.load(start, map_location="cpu", weights_only=True))
    run = TrainingRun(network, recipe, round(recipe.epochs * per_epoch), out, device)
    resumed = run.resume()
    report: dict[str, Any] = {
        "recipe": asdict(recipe),
        "sources": {
            s.file: {"examples": len(e), "times": s.times, "licence": s.licence} for s, e in corpus.learn.items()
        },
        "kept_back": {name: len(examples) for name, examples in corpus.kept.items()},
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "device": str(device),
        },
        "torch": torch.__version__,
        "epochs": {},
    }
    path = out / "report.json"
    if resumed and path.is_file():
        report["epochs"] = json.loads(path.read_text())["epochs"]
    with Progress() as progress:
        bar = progress.add_task("training", total=run.steps, completed=run.step)
        for epoch in range(run.step // per_epoch, math.ceil(recipe.epochs)):
            seed = recipe.seed * 1000 + epoch
            began, skip, losses = time.monotonic(), run.step - epoch * per_epoch, []
            run.network.train()
            for number, batch in enumerate(make_batches(draw_epoch(corpus, seed), tokenizer, recipe.batch, seed)):
                if number < skip or run.step >= run.steps:
                    continue
                losses.append(run.take(batch, priors))
                progress.advance(bar)
                if run.step % 100 == 0:
                    progress.console.print(
                        f"step {run.step}/{run.steps} loss {sum(losses[-100:]) / len(losses[-100:]):.4f} "
                        f"after {time.monotonic() - began:.0f} s"
                    )
            seconds = time.monotonic() - began
            run.save()
            bare = {name: value.clone() for name, value in run.network.state_dict().items()}
            figures: dict[str, Any] = {"seconds": seconds, "loss": sum(losses) / max(1, len(losses))}
            figures["bare"] = judge(run.network, tokenizer, corpus.kept, data, device)
            run.network.load_state_dict(run.ema)
            figures["averaged"] = judge(run.network, tokenizer, corpus.kept, data, device)
            torch.save(run.network.state_dict(), out / "network.pt")
            torch.save(run.network.state_dict(), out / f"network-{epoch + 1}.pt")
            run.network.load_state_dict(bare)
            report["epochs"][str(epoch + 1)] = figures
            path.write_text(json.dumps(report, indent=1))
            progress.console.print(json.dumps({"epoch": epoch + 1, **figures}))
    return report


def main(
    data: Annotated[Path, typer.Option(help="directory of the public sets")],
    base: Annotated[Path, typer.Option(help="directory of all-MiniLM-L6-v2")],
    out: Annotated[Path, typer.Option(help="where checkpoint, weights and report go")] = Path("build/sentiment"),
    epochs: Annotated[float, typer.Option(min=0.1)] = Recipe().epochs,
    rate: Annotated[float, typer.Option(help="learning rate of the encoder")] = Recipe().rate,
    start: Annotated[Path | None, typer.Option(help="network.pt of a first stage, to be polished")] = None,
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    train(data, base, out, Recipe(seed=seed, epochs=epochs, rate=rate), start)


if __name__ == "__main__":
    typer.run(main)
