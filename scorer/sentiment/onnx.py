"""Runs the model that ships on any CPU: ONNX Runtime, 8 bits, no torch.

Texts are spelled as in training, sorted by their number of tokens and cut into small batches with hardly any padding. As many
single-threaded workers as there are cores read them side by side. (On two cores that was 1.3 to 1.6 times as fast as one
session with two threads, which wait for each other at every small matrix.)"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import structlog

from scorer import manifest
from scorer.sentiment.calibration import Calibration, load_calibration
from scorer.sentiment.language import LanguageGate
from scorer.sentiment.model import Reading
from scorer.sentiment.text import MAX_TOKENS, says_something, spell
from services.base.errors import ConfigError

logger = structlog.get_logger()

SHIPPED = Path(__file__).with_name("weights")
FILES: Final = ("model.onnx", "tokenizer.json", "calibration.json", "model.json")
HEADS: Final = ("sentiment", "complaint", "severity")
BATCH_TOKENS = 512
"""Tokens of one worker's batch, padding included: what fits the caches. With twice or half as many it is 5 to 10 % slower."""

NO_TEXT = Reading(0.0, 1.0, 0.0, 0.0, 0, "no text")
NO_WORDS = Reading(0.0, 1.0, 0.0, 0.0, 0, "no words")

Count = Callable[[int], None]
Logits = dict[str, npt.NDArray[np.float32]]
_FLAGS = (
    "avx2", "avx512f", "avx_vnni", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16", "asimd", "asimddp", "i8mm"
)  # fmt: skip
_PATHS: Final = (
    ("amx_int8", "AMX"),
    ("avx512_vnni", "AVX-512 VNNI"),
    ("avx_vnni", "AVX VNNI"),
    ("avx512f", "AVX-512 in 16 bits"),
    ("avx2", "AVX2 in 16 bits"),
    ("i8mm", "ARM i8mm"),
    ("asimddp", "ARM dot product"),
    ("asimd", "ARM NEON"),
)
"""How ONNX Runtime multiplies bytes on a CPU with this flag, the fastest first. Where it says *in 16 bits*, two products are
added in 16 bits, and weights of 8 bits are cut off (`scorer.training.saturation`); those that ship have 7."""
WEIGHT_BITS: Final = 7
"""Bits of a weight of which no CPU cuts a product off."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The token ids of a text, and its place among the texts of the call."""

    place: int
    ids: list[int]


class OnnxNetwork:
    """The network of a directory, which turns spelled texts into the logits of its heads: `model.onnx`, `tokenizer.json` and
    `model.json`. `files` are all that the directory has to hold.

    `truncated` is told how many texts were too long. Raises `ConfigError` if a file is missing or cannot be used, and `Damaged`
    if one is not what was made.
    """

    def __init__(
        self,
        directory: Path,
        heads: Sequence[str],
        *,
        files: Sequence[str] = FILES,
        workers: int | None = None,
        truncated: Count = lambda _: None,
    ) -> None:
        # Its official wheels report to their vendor unless told otherwise before the import; nothing of ours phones home.
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnxruntime
        from tokenizers import Tokenizer

        for name in files:
            if not (directory / name).is_file():
                raise ConfigError(f"{directory} holds no {name}: reinstall, or name another sentiment model")
        if (directory / manifest.NAME).is_file():
            manifest.verify(directory)
        about = json.loads((directory / "model.json").read_text(encoding="utf-8"))
        self.name = f"{about['name']}-{about['version']} {about['precision']}"
        self._heads = tuple(heads)
        self._truncated = truncated
        self._tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._tail = self._tokenizer.encode("").ids[-1:]
        self._workers = workers or count_cores()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(directory / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="onnx") if self._workers > 1 else None
        self.logits(["ready"])
        cpu = describe_cpu()
        logger.info(
            "sentiment model ready",
            model=self.name,
            runtime=f"onnxruntime {onnxruntime.__version__}",
            provider=self._session.get_providers()[0],
            precision=about["precision"],
            products=name_path(cpu["cpu_flags"]),
            workers=self._workers,
            **cpu,
        )
        if about["precision"] == "int8" and is_cut_off(cpu["cpu_flags"], about.get("weight_bits", 8)):
            logger.warning(
                "the weights of this model are too large for this CPU, which cuts off some products: labels differ from those "
                "on other CPUs. Make them anew with scorer.training.reduce",
                model=self.name,
                products=name_path(cpu["cpu_flags"]),
            )

    def logits(self, spelled: Sequence[str]) -> Logits:
        """The logits for spelled texts: by head, an array [texts, classes] in the order of the texts."""
        ids = [encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(spelled))]
        too_long = sum(len(one) > MAX_TOKENS for one in ids)
        if too_long:
            self._truncated(too_long)
            ids = [one if len(one) <= MAX_TOKENS else one[: MAX_TOKENS - 1] + self._tail for one in ids]
        batches = cut(ids, BATCH_TOKENS, self._workers)
        if self._pool is None or len(batches) == 1:
            answers = [self._run(batch) for batch in batches]
        else:
            answers = list(self._pool.map(self._run, batches))
        out: Logits = {}
        for batch, answer in zip(batches, answers, strict=True):
            rows = [one.place for one in batch]
            for head, values in answer.items():
                out.setdefault(head, np.empty((len(ids), values.shape[1]), np.float32))[rows] = values
        return out

    def _run(self, batch: list[Prepared]) -> Logits:
        width = max(len(one.ids) for one in batch)
        ids = np.zeros((len(batch), width), np.int32)
        mask = np.zeros((len(batch), width), np.int32)
        for row, one in enumerate(batch):
            ids[row, : len(one.ids)] = one.ids
            mask[row, : len(one.ids)] = 1
        return dict(zip(self._heads, self._session.run(self._heads, {"ids": ids, "mask": mask}), strict=True))


class OnnxModel:
    """Reads one language with a network of ours and its `calibration.json`. `truncated` as in `OnnxNetwork`, which also says
    what is raised."""

    degraded = False

    def __init__(
        self,
        directory: Path = SHIPPED,
        *,
        workers: int | None = None,
        truncated: Count = lambda _: None,
        gate: LanguageGate | None = None,
    ) -> None:
        self._network = OnnxNetwork(directory, HEADS, workers=workers, truncated=truncated)
        self._gate = gate or LanguageGate()
        self._calibration = load_calibration(directory / "calibration.json")

    @property
    def name(self) -> str:
        return self._network.name

    @property
    def calibration(self) -> Calibration:
        return self._calibration

    def read(self, texts: Sequence[str], languages: Sequence[str | None]) -> list[Reading]:
        """One reading for each text, in order. A text in a language that the model does not know is read all the same, but its
        reading abstains."""
        readings: list[Reading] = [NO_TEXT] * len(texts)
        spelled: list[str] = []
        places: list[int] = []
        refusals: list[str | None] = []
        for place, (text, language) in enumerate(zip(texts, languages, strict=True)):
            words = spell(text)
            if not says_something(words):
                readings[place] = NO_WORDS if words else NO_TEXT
                continue
            places.append(place)
            spelled.append(words)
            refusals.append(self._gate.refuse(words, language))
        for place, refusal, reading in zip(places, refusals, self.judge(spelled), strict=True):
            readings[place] = replace(reading, abstain=refusal) if refusal else reading
        return readings

    def judge(self, spelled: Sequence[str]) -> list[Reading]:
        """One reading for each spelled text, in order, whatever its language."""
        if not spelled:
            return []
        logits = self.logits(spelled)
        return self._calibration.read(logits["sentiment"], logits["complaint"], logits["severity"])

    def logits(self, spelled: Sequence[str]) -> Logits:
        """The network's logits for spelled texts, as `OnnxNetwork.logits` gives them."""
        return self._network.logits(spelled)


def cut(ids: Sequence[list[int]], budget: int, workers: int) -> list[list[Prepared]]:
    """Cuts texts into batches of similar length with at most `budget` tokens each, padding included, and into so many that
    every worker gets some. The longest come first, so that no worker ends with a long one."""
    order = sorted(range(len(ids)), key=lambda place: -len(ids[place]))
    budget = max(min(budget, -(-sum(map(len, ids)) // workers)), 1)
    batches: list[list[Prepared]] = []
    for place in order:
        if batches and len(batches[-1][0].ids) * (len(batches[-1]) + 1) <= budget:
            batches[-1].append(Prepared(place, ids[place]))
        else:
            batches.append([Prepared(place, ids[place])])
    return batches


def count_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def name_path(flags: Sequence[str]) -> str:
    """How bytes are multiplied on a CPU with these flags."""
    return next((path for flag, path in _PATHS if flag in flags), "not known")


def is_cut_off(flags: Sequence[str], weight_bits: int) -> bool:
    """Returns True if a CPU with these flags cuts off products of weights of so many bits."""
    return weight_bits > WEIGHT_BITS and name_path(flags).endswith("in 16 bits")


def describe_cpu() -> dict[str, Any]:
    """The name of the CPU, and those of its flags that matter for the speed of small matrices."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {"cpu": platform.processor() or platform.machine(), "cpu_flags": []}
    fields = {line.partition(":")[0].strip(): line.partition(":")[2].strip() for line in lines[:64]}
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    return {
        "cpu": fields.get("model name") or platform.processor() or platform.machine(),
        "cpu_flags": [flag for flag in _FLAGS if flag in flags],
    }
