"""The network: one encoder, the mean over its tokens, and one linear layer for each head (Reimers & Gurevych, 2019)."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from scorer.training.corpora import HEADS
from services.base.errors import ConfigError

BASE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""The hash of `model.safetensors` of sentence-transformers/all-MiniLM-L6-v2: only networks that begin alike can be compared."""

DROPOUT = 0.1


class MoodNetwork(nn.Module):
    """Turns token ids and mask [batch, length] into logits {head: [batch, classes]}."""

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.encoder = BertModel(config, add_pooling_layer=False)
        self.dropout = nn.Dropout(DROPOUT)
        self.heads = nn.ModuleDict({head: nn.Linear(config.hidden_size, len(names)) for head, names in HEADS.items()})

    def pool(self, ids: Tensor, mask: Tensor) -> Tensor:
        """The mean of the token vectors [batch, hidden]."""
        hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        weight = mask.unsqueeze(-1).to(hidden.dtype)
        pooled: Tensor = (hidden * weight).sum(1) / weight.sum(1).clamp(min=1.0)
        return pooled

    def forward(self, ids: Tensor, mask: Tensor) -> dict[str, Tensor]:
        pooled = self.dropout(self.pool(ids, mask))
        return {name: head(pooled) for name, head in self.heads.items()}


def load_base(directory: Path) -> MoodNetwork:
    """The network with the weights of the base and fresh heads. Raises `ConfigError` if the directory holds no base, or not
    the one that `BASE_SHA256` names."""
    weights = directory / "model.safetensors"
    if not weights.is_file():
        raise ConfigError(f"{directory} holds no model.safetensors: give the directory of all-MiniLM-L6-v2")
    found = hashlib.sha256(weights.read_bytes()).hexdigest()
    if found != BASE_SHA256:
        raise ConfigError(f"{weights} has sha256 {found}, not {BASE_SHA256}: this is another base")
    config = BertConfig.from_pretrained(directory)
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = DROPOUT
    network = MoodNetwork(config)
    network.encoder = BertModel.from_pretrained(directory, config=config, add_pooling_layer=False, dtype=torch.float32)
    return network
