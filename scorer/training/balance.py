"""Balances rounding errors between activations and weights (SmoothQuant: Xiao et al., 2023).

A few channels of a transformer's activations are much larger than the rest, and one scale for all of them rounds the rest
away. Dividing each channel by a factor, and multiplying the matrix's row by it, leaves the product as it is, but changes what
is rounded."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

Array = npt.NDArray[Any]

STRENGTH = 0.5
"""With 0 the activations stay as they are, with 1 all their channels become equally large."""


def measure(network: nn.Module, batches: list[tuple[Tensor, Tensor]]) -> dict[str, Array]:
    """The largest magnitude of each input channel of each matrix of the network's `encoder` over batches of (ids, mask), by the
    name of the matrix in the ONNX graph."""
    tops: dict[str, Tensor] = {}
    hooks = []
    blocks: Any = network.get_submodule("encoder.encoder.layer")
    for layer, block in enumerate(blocks):
        watched: dict[str, nn.Module] = {
            "packed": block.attention.self.query,
            "told": block.attention.output.dense,
            "wide": block.intermediate.dense,
            "narrow": block.output.dense,
        }
        for name, module in watched.items():
            hooks.append(module.register_forward_hook(_watch(tops, f"layer.{layer}.{name}")))
    network.eval()
    with torch.inference_mode():
        for ids, mask in batches:
            network(ids, mask)
    for hook in hooks:
        hook.remove()
    return {name: top.numpy() for name, top in tops.items()}


def _watch(tops: dict[str, Tensor], name: str) -> Any:
    def note(_: nn.Module, inputs: tuple[Tensor, ...], __: Tensor) -> None:
        top = inputs[0].abs().flatten(0, -2).amax(dim=0)
        tops[name] = torch.maximum(tops[name], top) if name in tops else top

    return note


def factors(tops: dict[str, Array], weights: dict[str, Array]) -> dict[str, Array]:
    """What each input channel is divided by, by name of the matrix. `tops` is what `measure` returned, `weights` are the
    network's arrays."""
    out = {}
    for name, top in tops.items():
        layer, matrix = name.split(".")[1:]
        prefix = f"encoder.encoder.layer.{layer}"
        parts = {
            "packed": [f"{prefix}.attention.self.{part}.weight" for part in ("query", "key", "value")],
            "told": [f"{prefix}.attention.output.dense.weight"],
            "wide": [f"{prefix}.intermediate.dense.weight"],
            "narrow": [f"{prefix}.output.dense.weight"],
        }[matrix]
        heaviest = np.abs(np.concatenate([weights[part] for part in parts])).max(axis=0)
        factor = np.maximum(top, 1e-5) ** STRENGTH / np.maximum(heaviest, 1e-5) ** (1 - STRENGTH)
        out[name] = (factor / np.exp(np.log(factor).mean())).astype(np.float32)
    return out
