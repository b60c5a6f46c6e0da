"""How fast the sentiment model reads, beside the usual way of serving it: same weights, same posts, one run.

    python -m tests.load.bench_sentiment

Posts are those of `../shared/data` where it is there, made-up ones otherwise. Every text is different, so nothing is
gained by remembering.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from scorer.sentiment.evaluate import label_of, read_labelled
from scorer.sentiment.onnx import SHIPPED, OnnxModel, count_cores, describe_cpu
from scorer.sentiment.text import MAX_TOKENS, spell

ROOT = Path(__file__).parents[2]
POSTS = ROOT.parent / "shared/data/twcs_spotify_inbound"
TRAINED = ROOT / "build/sentiment/network.pt"
THROUGHPUT_POSTS = 2_000
PIPELINE_BATCH = 32
RATE_PER_SECOND = 100
LATENCY_POSTS = 2_000
ROUNDS = 3
MADE_UP = "the app keeps crashing and nobody answers my order is late again thanks for great quick help"

_CHILD = """
import json, sys, time
begin = time.perf_counter()
from scorer.sentiment.onnx import OnnxModel
model = OnnxModel()
ready = time.perf_counter() - begin
texts = json.load(sys.stdin)
for start in range(0, len(texts), 64):
    model.read(texts[start:start + 64], [None] * len(texts[start:start + 64]))
import psutil
print(json.dumps({"start_to_ready_seconds": ready, "memory_mb": psutil.Process().memory_info().rss / 1e6,
                  "torch_loaded": "torch" in sys.modules}))
"""


def gather_posts(count: int) -> list[str]:
    """Different posts in the order they came, English ones of a brand's stream where there are some."""
    texts: list[str] = []
    for path in sorted(POSTS.glob("*.csv.gz")) if POSTS.is_dir() else []:
        texts += [row.text for row in read_labelled(path)]
    if not texts:
        rng = random.Random(0)
        words = MADE_UP.split()
        texts = [" ".join(rng.choices(words, k=rng.randint(5, 40))) for _ in range(count * 2)]
    seen: dict[str, str] = {}
    for text in texts:
        told = spell(text)
        if told:
            seen.setdefault(told, text)
    return list(seen.values())[:count]


def timed(work: Callable[[], Any], rounds: int = ROUNDS) -> tuple[float, Any]:
    """The best of some rounds, in seconds, and the answer."""
    best, answer = float("inf"), None
    for _ in range(rounds):
        begin = time.perf_counter()
        answer = work()
        best = min(best, time.perf_counter() - begin)
    return best, answer


def make_pipeline(weights: dict[str, Any]) -> Any:
    """The usual way: `transformers.pipeline` over the same network in fp32, its logits mapped as the served ones
    are."""
    import torch

    from scorer.training.network import MoodNetwork

    # Untyped on purpose: its two dozen overloads of `pipeline` say nothing here.
    hugging: Any = import_module("transformers")
    hugging.logging.set_verbosity_error()  # it warns of a class that it does not know, with the names of all it knows

    layers = sum(name.endswith("attention.self.query.weight") for name in weights)
    width = weights["encoder.embeddings.word_embeddings.weight"].shape[1]
    config = hugging.BertConfig(
        hidden_size=width,
        num_hidden_layers=layers,
        intermediate_size=4 * width,
        max_position_embeddings=len(weights["encoder.embeddings.position_embeddings.weight"]),
        id2label={0: "negative", 1: "neutral", 2: "positive"},
        label2id={"negative": 0, "neutral": 1, "positive": 2},
    )
    network = MoodNetwork(config)
    network.load_state_dict({name: torch.tensor(np.asarray(value)) for name, value in weights.items()}, strict=False)
    calibration = OnnxModel().calibration

    class Served(hugging.PreTrainedModel):  # type: ignore[misc]
        config_class = hugging.BertConfig
        _supports_sdpa = True

        def __init__(self) -> None:
            super().__init__(config)
            self.network = network
            self.map = torch.tensor(calibration.sentiment, dtype=torch.float32)
            self.shift = torch.tensor(calibration.offset, dtype=torch.float32)

        def forward(self, input_ids: Any, attention_mask: Any, **_: Any) -> Any:
            logits = self.network(input_ids, attention_mask)
            margin = logits["complaint"][:, 1:] - logits["complaint"][:, :1]
            joined = torch.cat([logits["sentiment"], margin], dim=1)
            return hugging.modeling_outputs.SequenceClassifierOutput(logits=joined @ self.map.T + self.shift)

    tokenizer = hugging.PreTrainedTokenizerFast(
        tokenizer_file=str(SHIPPED / "tokenizer.json"),
        pad_token="[PAD]",
        unk_token="[UNK]",
        model_max_length=MAX_TOKENS,
    )
    return hugging.pipeline("text-classification", model=Served().eval(), tokenizer=tokenizer, device="cpu")


def measure_pipeline(weights: dict[str, Any], posts: list[str], rounds: int) -> tuple[float, list[str]]:
    classify = make_pipeline(weights)
    spelled = [spell(post) for post in posts]

    def work() -> Any:
        return classify(spelled, batch_size=PIPELINE_BATCH, truncation=True, max_length=MAX_TOKENS)

    classify(spelled[:64], batch_size=PIPELINE_BATCH)
    seconds, found = timed(work, rounds)
    return seconds, [one["label"] for one in found]


def measure_openvino(weights: dict[str, Any], posts: list[str]) -> dict[str, Any]:
    """OpenVINO over the same network, at the precision it likes best here, two streams; tokenising left out."""
    import onnx
    from tokenizers import Tokenizer

    from scorer.sentiment.onnx import BATCH_TOKENS, cut
    from scorer.training.export import build

    openvino: Any = import_module("openvino")
    tokenizer = Tokenizer.from_file(str(SHIPPED / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    batches = []
    for batch in cut([one.ids for one in tokenizer.encode_batch([spell(post) for post in posts])], BATCH_TOKENS, 2):
        width = max(len(one.ids) for one in batch)
        ids, mask = np.zeros((len(batch), width), np.int32), np.zeros((len(batch), width), np.int32)
        for row, one in enumerate(batch):
            ids[row, : len(one.ids)], mask[row, : len(one.ids)] = one.ids, 1
        batches.append({"ids": ids, "mask": mask})
    path = ROOT / "build/openvino.onnx"
    path.parent.mkdir(exist_ok=True)
    onnx.save_model(build(weights, "fp32"), path)
    hint = "bf16" if {"avx512_bf16", "amx_bf16"} & set(describe_cpu()["cpu_flags"]) else "f32"
    options = {"INFERENCE_PRECISION_HINT": hint, "NUM_STREAMS": count_cores(), "INFERENCE_NUM_THREADS": count_cores()}
    compiled = openvino.Core().compile_model(str(path), "CPU", options)
    queue = openvino.AsyncInferQueue(compiled, count_cores())

    def work() -> None:
        for batch in batches:
            queue.start_async(batch)
        queue.wait_all()

    work()
    seconds, _ = timed(work)
    path.unlink()
    return {"openvino_precision": hint, "openvino_posts_per_second": len(posts) / seconds}


async def measure_latency(model: OnnxModel, posts: list[str]) -> list[float]:
    """Seconds from asking to reading, one post each, at a steady rate that does not wait for answers."""
    from prometheus_client import CollectorRegistry

    from scorer.sentiment.batcher import Batcher, BatcherMetrics

    batcher = Batcher(model, BatcherMetrics(CollectorRegistry()), spell=spell)
    task = asyncio.create_task(batcher.run())
    loop = asyncio.get_running_loop()
    taken: list[float] = []

    async def one(post: str, due: float) -> None:
        # From when it was due, so that a late loop counts too.
        await batcher.score([post], [None])
        taken.append(loop.time() - due)

    async with asyncio.TaskGroup() as group:
        begin = loop.time() + 0.1
        for number, post in enumerate(posts):
            due = begin + number / RATE_PER_SECOND
            await asyncio.sleep(max(0.0, due - loop.time()))
            group.create_task(one(post, due))
    await batcher.stop(loop.time() + 10)
    await task
    return taken


async def measure_batched(model: OnnxModel, posts: list[str], lanes: int = 4, call: int = 250) -> float:
    """Seconds for all posts, asked for by some lanes at once, as the pipeline does."""
    from prometheus_client import CollectorRegistry

    from scorer.sentiment.batcher import Batcher, BatcherMetrics

    batcher = Batcher(model, BatcherMetrics(CollectorRegistry()), spell=spell)
    task = asyncio.create_task(batcher.run())
    begin = time.perf_counter()

    async def lane(number: int) -> None:
        mine = posts[number::lanes]
        for start in range(0, len(mine), call):
            await batcher.score(mine[start : start + call], [None] * len(mine[start : start + call]))

    await asyncio.gather(*(lane(number) for number in range(lanes)))
    seconds = time.perf_counter() - begin
    await batcher.stop(asyncio.get_running_loop().time() + 10)
    await task
    return seconds


def run(posts: int = THROUGHPUT_POSTS, rounds: int = ROUNDS) -> dict[str, object]:
    """All figures, by name."""
    import onnx

    from scorer.training.export import read_weights, recover

    texts = gather_posts(max(posts, LATENCY_POSTS))
    some = texts[:posts]
    model = OnnxModel()
    model.read(some[:64], [None] * 64)
    ours, readings = timed(lambda: model.read(some, [None] * len(some)), rounds)
    labels = [label_of(reading) for reading in readings]
    batched = min(asyncio.run(measure_batched(model, some)) for _ in range(rounds))
    weights = recover(onnx.load(SHIPPED / "model.onnx"))
    theirs, expected = measure_pipeline(weights, some, rounds)
    found: dict[str, object] = {
        **describe_cpu(),
        "cores": count_cores(),
        "model": model.name,
        "posts": len(some),
        "source": POSTS.name if POSTS.is_dir() else "made up",
        "pipeline_posts_per_second": len(some) / theirs,
        "model_posts_per_second": len(some) / ours,
        "batcher_posts_per_second": len(some) / batched,
        "times_the_pipeline": theirs / batched,
        "labels_equal": float(np.mean([a == b for a, b in zip(labels, expected, strict=True)])),
    }
    if TRAINED.is_file():
        _, expected = measure_pipeline(read_weights(TRAINED), some, 1)
        found["labels_equal_to_trained"] = float(np.mean([a == b for a, b in zip(labels, expected, strict=True)]))
    if importlib.util.find_spec("openvino"):
        found |= measure_openvino(weights, some)
    taken = np.array(asyncio.run(measure_latency(model, texts[:LATENCY_POSTS]))) * 1000
    found |= {f"single_post_p{q}_ms": float(np.percentile(taken, q)) for q in (50, 99)}
    found |= {"single_post_max_ms": float(taken.max()), "rate_per_second": RATE_PER_SECOND}
    child = subprocess.run(
        [sys.executable, "-c", _CHILD], input=json.dumps(texts), capture_output=True, text=True, check=True, cwd=ROOT
    )
    found |= json.loads(child.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    print(json.dumps(run(), indent=1))
