"""Writes the trained reader as it is served: a vocabulary cut to what its languages use, one ONNX file of 8 bits, and the
probabilities fitted language by language.

    python -m scorer.training.reader_export --weights build/reader/reader.pt --base DIR --data ../shared/data
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import numpy.typing as npt
import onnx
import torch
import typer
from tokenizers import Tokenizer

from scorer import manifest
from scorer.sentiment.onnx import WEIGHT_BITS
from scorer.sentiment.reader import HEADS, SHIPPED, Reader
from scorer.sentiment.text import MAX_TOKENS
from scorer.training import reader_fit
from scorer.training.balance import measure
from scorer.training.corpora import Example
from scorer.training.export import build
from scorer.training.reader_corpora import Folds, draw, make_folds
from scorer.training.reader_judge import read_shares
from scorer.training.reader_network import ORDERED, ReaderNetwork, load_reader_base
from scorer.training.reduce import feeds_of, reduce
from scorer.training.vocabulary import choose_pieces, count_pieces, cut_table, cut_tokenizer, scripts_of

Array = npt.NDArray[Any]

MOST_PIECES: Final = 84_000
MEASURED: Final = 600
"""Posts on which the activations are measured."""
COMPARED: Final = ("umsab/", "smsa/", "wisesight/", "nusax/")
COMPARED_POSTS: Final = 50
"""Of each fold: about 1,100 posts on which the served model is compared with the trained network."""
WORDS: Final = "encoder.embeddings.word_embeddings.weight"


def cut_vocabulary(tokenizer: Tokenizer, folds: Folds, most: int = MOST_PIECES) -> tuple[Tokenizer, list[int]]:
    """The tokenizer with the pieces that the languages of these folds use, and their numbers before."""
    texts = [one.text for examples in folds.learn.values() for one in examples]
    used = count_pieces(tokenizer, texts)
    pieces = [(str(piece), float(score)) for piece, score in json.loads(tokenizer.to_str())["model"]["vocab"]]
    kept = choose_pieces(pieces, used, scripts_of(texts), most)
    return cut_tokenizer(tokenizer, kept), kept


def served_arrays(network: ReaderNetwork, kept: list[int]) -> dict[str, Array]:
    """The arrays of the network with the vectors of the pieces that stay. The ordered head becomes a linear one: the same row
    for each threshold."""
    arrays = {name: value.detach().float().numpy() for name, value in network.state_dict().items()}
    arrays[WORDS] = cut_table(arrays[WORDS], kept)
    head = network.get_submodule(f"heads.{ORDERED}")
    with torch.no_grad():
        bias = head(torch.zeros(1, arrays[WORDS].shape[1]))[0].numpy()
    badness = arrays[f"heads.{ORDERED}.badness.weight"]
    arrays[f"heads.{ORDERED}.weight"], arrays[f"heads.{ORDERED}.bias"] = np.repeat(badness, len(bias), axis=0), bias
    return arrays


def write_model(
    network: ReaderNetwork, tokenizer: Tokenizer, kept: list[int], examples: list[Example], out: Path
) -> None:
    """Writes `model.onnx` in 8 bits, rounded by what goes through it when it reads these examples, and `tokenizer.json`."""
    arrays = served_arrays(network, kept)
    texts = [one.text for one in examples]
    numbers = [cut.ids for cut in tokenizer.encode_batch(texts[:MEASURED])]
    whole = torch.tensor(kept)
    # The network itself still has the whole vocabulary.
    tops = measure(
        network, [(whole[torch.tensor([ids])], torch.ones(1, len(ids), dtype=torch.long)) for ids in numbers]
    )
    heads = network.encoder.config.num_attention_heads
    model = build(arrays, "int8", heads=heads, tops=tops, served=HEADS, packed_words=True)
    onnx.save_model(reduce(model, feeds_of(texts, tokenizer)), out / "model.onnx")
    tokenizer.save(str(out / "tokenizer.json"), pretty=False)


def agreement(network: ReaderNetwork, tokenizer: Tokenizer, folds: Folds, out: Path) -> float:
    """The share of kept posts of which what is served says the same mood as the trained network in 32 bits, which reads them
    with its whole vocabulary."""
    texts = [
        one.text for name, kept in folds.kept.items() if name.startswith(COMPARED) for one in kept[:COMPARED_POSTS]
    ]
    tokenizer.enable_truncation(MAX_TOKENS)
    trained = read_shares(network, tokenizer, texts, half=False)["sentiment"].argmax(1)
    served = Reader(out).logits(texts)["sentiment"].argmax(1)
    return float((trained == served).mean())


def main(
    weights: Annotated[Path, typer.Option(help="reader.pt of the training")],
    base: Annotated[Path, typer.Option(help="directory of multilingual-e5-small")],
    data: Annotated[Path, typer.Option(help="directory of the public sets")],
    out: Annotated[Path, typer.Option(help="where the served files go")] = SHIPPED,
    version: Annotated[str, typer.Option()] = "1",
) -> None:
    """Write model, tokenizer and calibration of a trained reader, and print its figures by language."""
    out.mkdir(parents=True, exist_ok=True)
    (out / manifest.NAME).unlink(missing_ok=True)
    folds = make_folds(data)
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    cut, kept = cut_vocabulary(tokenizer, folds)
    cut.no_padding()
    cut.enable_truncation(MAX_TOKENS)
    network = load_reader_base(base)
    network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True), strict=False)
    network.float().eval()
    write_model(network, cut, kept, draw(folds, 1, 0, 1_500), out)
    about = {
        "name": "firebreak-reader",
        "version": version,
        "precision": "int8",
        "base_sha256": hashlib.sha256((base / "model.safetensors").read_bytes()).hexdigest(),
        "weight_bits": WEIGHT_BITS,
        "pieces": len(kept),
    }
    (out / "model.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    found = reader_fit.write(out, folds)
    print(json.dumps({**found, "agreement": agreement(network, tokenizer, folds, out)}, indent=1))


if __name__ == "__main__":
    typer.run(main)
