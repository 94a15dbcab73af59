"""How similar the learned class queries are to each other (paper, Sec. 4)."""

from __future__ import annotations

import pandas as pd
import torch
from torch import Tensor

from la_medical.errors import InputError
from la_medical.networks.checkpoint import Checkpoint

QUERIES = "head.queries"


def queries_of(checkpoint: Checkpoint) -> Tensor:
    """The queries (K, D) of a checkpoint; raises `InputError` if its head has none."""
    queries = checkpoint.state_dict.get(QUERIES)
    if queries is None or queries.dim() != 2 or len(queries) != len(checkpoint.classes):
        head = checkpoint.network_config.get("head", "unknown")
        raise InputError(f"the checkpoint's head ({head}) has no class queries; train with head: class_query")
    return queries


def query_similarity(checkpoint: Checkpoint) -> pd.DataFrame:
    """Cosine similarity between all pairs of queries, (K, K) with class names on both axes."""
    queries = torch.nn.functional.normalize(queries_of(checkpoint).double(), dim=1)
    names = list(checkpoint.classes)
    return pd.DataFrame((queries @ queries.T).numpy(), index=pd.Index(names, name="class"), columns=names)
