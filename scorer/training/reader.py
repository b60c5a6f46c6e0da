"""Trains the reader of all languages: one multilingual encoder with heads for sentiment, complaint, severity and hazard.

    python -m scorer.training.reader --data ../shared/data --base DIR --out build/reader --steps 9000

The vocabulary is frozen all the time, and the lowest layers at first. A round draws a fixed number of posts from each source;
after some rounds the averaged weights are judged on the folds that are kept back, and one line goes into `log.jsonl`. A run
that was stopped, at any moment, goes on from its last checkpoint with the posts that it has not seen; with more `--steps` it
goes on for longer. The rate is held until `COOLING` of the way is left and then falls to zero, so that a run that gets more
steps has lost nothing."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import torch
import typer
from tokenizers import Tokenizer
from torch import Tensor, nn

from scorer.training.corpora import Example
from scorer.training.reader_corpora import HEADS, Folds, Prior, draw, make_folds
from scorer.training.reader_judge import judge_reader
from scorer.training.reader_network import ORDERED, ReaderNetwork, load_reader_base

COOLING: Final = 0.25
UNLABELLED: Final = -100


@dataclass(frozen=True, slots=True)
class ReaderRecipe:
    """Everything that decides how the reader turns out, apart from the number of steps."""

    seed: int = 0
    batch: int = 64
    round_batches: int = 100
    """Batches of one round; texts are sorted by length within it, which saves padding."""
    tokens: int = 64
    """Longer texts are cut while training; 99 % of posts are shorter."""
    rate: float = 1.0e-4
    head_rate: float = 1.0e-3
    weight_decay: float = 0.01
    warm_up: int = 200
    smoothing: float = 0.05
    ema: float = 0.998
    clip: float = 1.0
    frozen: tuple[tuple[int, int], ...] = ((0, 3), (3000, 0))
    """From which step on how many of the lowest layers learn nothing."""
    weights: tuple[tuple[str, float], ...] = (
        ("sentiment", 1.0),
        ("complaint", 1.0),
        ("severity", 0.5),
        ("hazard", 0.7),
    )

    def frozen_at(self, step: int) -> int:
        return [layers for begin, layers in self.frozen if begin <= step][-1]

    def pace(self, step: int, steps: int) -> float:
        """The share of the learning rate at a step of a run of so many."""
        left = (steps - step) / max(1.0, COOLING * steps)
        return max(0.0, min(1.0, (step + 1) / self.warm_up, left))


@dataclass(frozen=True, slots=True)
class ReaderBatch:
    """Token ids and mask [batch, length]; by head, the labels [batch] (`UNLABELLED` where there is none) and the logarithms of
    the shares of the classes in the set of each text [batch, classes]."""

    ids: Tensor
    mask: Tensor
    labels: dict[str, Tensor]
    priors: dict[str, Tensor]


def batches_of(
    examples: list[Example], priors: dict[str, Prior], tokenizer: Tokenizer, size: int, seed: int
) -> Iterator[ReaderBatch]:
    """Yields batches of texts of similar length, in random order."""
    ids = [encoding.ids for encoding in tokenizer.encode_batch([example.text for example in examples])]
    by_length = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    parts = [by_length[at : at + size] for at in range(0, len(by_length), size)]
    order = torch.randperm(len(parts), generator=torch.Generator().manual_seed(seed)).tolist()
    for part in order:
        yield collate_reader([ids[i] for i in parts[part]], [examples[i] for i in parts[part]], priors)


def collate_reader(ids: list[list[int]], examples: list[Example], priors: dict[str, Prior]) -> ReaderBatch:
    """The batch of these texts, padded to the longest."""
    width = max(map(len, ids))
    padded = torch.zeros(len(ids), width, dtype=torch.long)
    mask = torch.zeros(len(ids), width, dtype=torch.long)
    for row, tokens in enumerate(ids):
        padded[row, : len(tokens)] = torch.tensor(tokens)
        mask[row, : len(tokens)] = 1
    labels = {head: torch.tensor([one.labels.get(head, UNLABELLED) for one in examples]) for head in HEADS}
    known = {head: torch.zeros(len(ids), len(names)) for head, names in HEADS.items()}
    for row, one in enumerate(examples):
        for head, shares in priors.get(one.source, {}).items():
            known[head][row] = torch.from_numpy(shares).float()
    return ReaderBatch(padded, mask, labels, known)


def reader_loss(logits: dict[str, Tensor], batch: ReaderBatch, recipe: ReaderRecipe) -> Tensor:
    """The loss of a batch. The prior of the set is added to the logits (Menon et al., 2021), so that the bare ones treat rare
    classes fairly, and no set teaches how frequent its classes are."""
    total = torch.zeros(())
    for head, weight in recipe.weights:
        labels, said = batch.labels[head], logits[head].float()
        if head == ORDERED:
            rows = labels != UNLABELLED
            worse = (labels[rows, None] > torch.arange(said.shape[1])).float()
            loss = nn.functional.binary_cross_entropy_with_logits(said[rows], worse, reduction="sum") / said.shape[1]
        else:
            loss = nn.functional.cross_entropy(
                said + batch.priors[head],
                labels,
                ignore_index=UNLABELLED,
                label_smoothing=recipe.smoothing,
                reduction="sum",
            )
        total = total + weight / len(batch.ids) * loss
    return total


class ReaderRun:
    """A training that can be stopped at any step and taken up again."""

    SAVE_SECONDS = 240.0

    def __init__(self, network: ReaderNetwork, recipe: ReaderRecipe, steps: int, directory: Path) -> None:
        self.network, self.recipe, self.steps, self.step = network, recipe, steps, 0
        self.checkpoint = directory / "checkpoint.pt"
        self.ema = {
            name: value.detach().clone() for name, value in network.learned().items() if value.is_floating_point()
        }
        network.freeze(0)
        encoder = [(n, p) for n, p in network.named_parameters() if p.requires_grad and not n.startswith("heads.")]
        self.optimizer = torch.optim.AdamW(
            [
                {
                    "params": [p for _, p in encoder if p.ndim > 1],
                    "weight_decay": recipe.weight_decay,
                    "top": recipe.rate,
                },
                {"params": [p for _, p in encoder if p.ndim <= 1], "weight_decay": 0.0, "top": recipe.rate},
                {"params": list(network.heads.parameters()), "weight_decay": 0.0, "top": recipe.head_rate},
            ],
            lr=recipe.rate,
            fused=True,
        )
        # Only in bf16 where the CPU multiplies it: elsewhere it is several times slower than 32 bits.
        self.half = bf16_is_fast()
        self._saved_at = time.monotonic()

    def resume(self) -> bool:
        """Take up the checkpoint. Returns False if there is none, or none of the same recipe."""
        if not self.checkpoint.is_file():
            return False
        state = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
        if state["recipe"] != json.dumps(asdict(self.recipe)):
            return False
        self.network.load_state_dict(state["network"], strict=False)
        self.optimizer.load_state_dict(state["optimizer"])
        self.ema, self.step = state["ema"], state["step"]
        torch.set_rng_state(state["rng"])
        return True

    def save(self) -> None:
        """Write the checkpoint; the old one stays until the new one is complete."""
        state = {
            "recipe": json.dumps(asdict(self.recipe)),
            "network": self.network.learned(),
            "optimizer": self.optimizer.state_dict(),
            "ema": self.ema,
            "step": self.step,
            "rng": torch.get_rng_state(),
        }
        fresh = self.checkpoint.with_suffix(".new")
        torch.save(state, fresh)
        fresh.replace(self.checkpoint)
        self._saved_at = time.monotonic()

    def take(self, batch: ReaderBatch) -> float:
        """Take one step. Returns the loss."""
        self.network.freeze(self.recipe.frozen_at(self.step))
        for group in self.optimizer.param_groups:
            group["lr"] = group["top"] * self.recipe.pace(self.step, self.steps)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.half):
            logits = self.network(batch.ids, batch.mask)
        loss = reader_loss(logits, batch, self.recipe)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, value in self.network.learned().items():
                if name in self.ema:
                    self.ema[name].lerp_(value, 1 - decay)
        if time.monotonic() - self._saved_at > self.SAVE_SECONDS:
            self.save()
        return float(loss.detach())


def bf16_is_fast() -> bool:
    """Returns True if the CPU multiplies bf16 itself."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())  # noqa: SLF001


def train(run: ReaderRun, folds: Folds, tokenizer: Tokenizer, out: Path, judge_rounds: int) -> None:
    """Takes steps until there are `run.steps`. After every `judge_rounds` rounds, and at the end, the averaged weights are
    judged and written (`reader.pt`)."""
    recipe = run.recipe
    while run.step < run.steps:
        number, skip = divmod(run.step, recipe.round_batches)
        began, losses = time.monotonic(), []
        examples = draw(folds, recipe.seed, number, recipe.batch * recipe.round_batches)
        run.network.train()
        batches = batches_of(examples, folds.priors, tokenizer, recipe.batch, recipe.seed * 100_000 + number)
        for place, batch in enumerate(batches):
            if place >= recipe.round_batches or run.step >= run.steps:
                break
            if place >= skip:
                losses.append(run.take(batch))
        # Shares are rounded, so a round may have a batch more or less than it should.
        run.step = min(run.steps, (number + 1) * recipe.round_batches)
        seconds = time.monotonic() - began
        note(out, {"step": run.step, "loss": sum(losses) / max(1, len(losses)), "seconds": round(seconds, 1)})
        if (number + 1) % judge_rounds == 0 or run.step >= run.steps:
            run.save()
            note(out, {"step": run.step, "figures": judge_averaged(run, folds, tokenizer, out)})


def judge_averaged(run: ReaderRun, folds: Folds, tokenizer: Tokenizer, out: Path) -> dict[str, float]:
    """The figures of the averaged weights, which are written to `reader.pt`."""
    bare = {name: value.clone() for name, value in run.network.learned().items()}
    run.network.load_state_dict(run.ema, strict=False)
    torch.save({name: value.half() for name, value in run.ema.items()}, out / "reader.new")
    (out / "reader.new").replace(out / "reader.pt")
    figures = judge_reader(run.network, tokenizer, folds.kept, half=run.half)
    run.network.load_state_dict(bare, strict=False)
    return figures


def note(out: Path, what: dict[str, Any]) -> None:
    """Adds a line to the log of the run."""
    line = json.dumps({"at": time.strftime("%Y-%m-%dT%H:%M:%S"), **what})
    with (out / "log.jsonl").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    print(line, flush=True)


def main(
    data: Annotated[Path, typer.Option(help="directory of the public sets")],
    base: Annotated[Path, typer.Option(help="directory of multilingual-e5-small")],
    out: Annotated[Path, typer.Option(help="where checkpoint, weights and log go")] = Path("build/reader"),
    steps: Annotated[int, typer.Option(min=1, help="of 64 posts each; a run that has fewer goes on")] = 9000,
    judge_rounds: Annotated[int, typer.Option(min=1, help="rounds of 100 steps between two judgements")] = 5,
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Train, or go on training, and write what was learned."""
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    recipe = ReaderRecipe(seed=seed)
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(recipe.tokens)
    folds = make_folds(data)
    run = ReaderRun(load_reader_base(base), recipe, steps, out)
    resumed = run.resume()
    note(
        out,
        {
            "began": "resumed" if resumed else "new",
            "step": run.step,
            "steps": steps,
            "bf16": run.half,
            "threads": torch.get_num_threads(),
            "cores": os.cpu_count(),
            "learn": {name: len(examples) for name, examples in folds.learn.items()},
            "rounds": math.ceil(steps / recipe.round_batches),
        },
    )
    train(run, folds, tokenizer, out, judge_rounds)


if __name__ == "__main__":
    typer.run(main)
