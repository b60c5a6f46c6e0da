"""The network of the reader of all languages: one encoder, the mean over its tokens, and a head for each thing it says.

Sentiment, complaint and hazard are classes. Severity is ordered: one number for how bad it is, and one threshold between each
two grades, so that taking an accusation for blame costs less than taking it for praise (cumulative logits: McCullagh, 1980)."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from scorer.training.network import DROPOUT
from scorer.training.reader_corpora import HEADS
from services.base.errors import ConfigError

ORDERED: Final = "severity"
_VOCABULARY: Final = "encoder.embeddings.word_embeddings.weight"


class OrderedHead(nn.Module):
    """Turns vectors [batch, hidden] into the logits [batch, grades - 1] of being worse than each grade but the last."""

    def __init__(self, hidden: int, grades: int) -> None:
        super().__init__()
        self.badness = nn.Linear(hidden, 1, bias=False)
        self.first = nn.Parameter(torch.tensor(1.0))
        self.gaps = nn.Parameter(torch.zeros(grades - 2))

    def forward(self, pooled: Tensor) -> Tensor:
        # Gaps above zero keep the thresholds in order.
        steps = torch.cat([self.first.view(1), nn.functional.softplus(self.gaps)]).cumsum(0)
        logits: Tensor = self.badness(pooled) - steps
        return logits


def grade_shares(logits: Tensor) -> Tensor:
    """The probability of each grade [batch, grades] from the logits of an `OrderedHead`."""
    above = torch.sigmoid(logits.double())
    ends = torch.ones_like(above[:, :1])
    return torch.cat([ends, above], 1) - torch.cat([above, 0 * ends], 1)


class ReaderNetwork(nn.Module):
    """Turns token ids and mask [batch, length] into logits {head: [batch, classes]}; for severity see `OrderedHead`."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.encoder = BertModel(config, add_pooling_layer=False)
        self.dropout = nn.Dropout(DROPOUT)
        width = config.hidden_size
        self.heads = nn.ModuleDict(
            {
                head: OrderedHead(width, len(names)) if head == ORDERED else nn.Linear(width, len(names))
                for head, names in HEADS.items()
            }
        )

    def forward(self, ids: Tensor, mask: Tensor) -> dict[str, Tensor]:
        hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        weight = mask.unsqueeze(-1).to(hidden.dtype)
        pooled = self.dropout((hidden * weight).sum(1) / weight.sum(1).clamp(min=1.0))
        return {name: head(pooled) for name, head in self.heads.items()}

    def freeze(self, layers: int) -> None:
        """Let only the layers above the lowest `layers` learn, and the heads. The vocabulary never does: most of its pieces are
        in no text that we have, and would be left behind by those that are."""
        frozen = ("encoder.embeddings.", *(f"encoder.encoder.layer.{layer}." for layer in range(layers)))
        for name, parameter in self.named_parameters():
            parameter.requires_grad = not name.startswith(frozen)

    def learned(self) -> dict[str, Tensor]:
        """All arrays but the vocabulary, by name: what a checkpoint has to hold."""
        return {name: value for name, value in self.state_dict().items() if name != _VOCABULARY}


def load_reader_base(directory: Path) -> ReaderNetwork:
    """The network with the weights of a base that `transformers` reads, and fresh heads. Raises `ConfigError` if there is
    none."""
    if not (directory / "model.safetensors").is_file():
        raise ConfigError(f"{directory} holds no model.safetensors: give the directory of multilingual-e5-small")
    config = BertConfig.from_pretrained(directory)
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = DROPOUT
    network = ReaderNetwork(config)
    network.encoder = BertModel.from_pretrained(directory, config=config, add_pooling_layer=False, dtype=torch.float32)
    return network
