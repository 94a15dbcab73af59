"""How alike a trained network's queries are: the cosine of each pair (Kang et al. 2023, Figure 1C)."""

from torch import Tensor, nn
from torch.nn import functional

from la_medical.errors import InputError
from la_medical.networks.class_query import ClassQueryHead


def query_similarity(network: nn.Module) -> Tensor:
    """Cosine between the queries of each two classes, (K, K), in [-1, 1] with 1 on the diagonal; float32 on the CPU.

    Raises:
        InputError: not a network with one class-query head.
    """
    heads = [module for module in network.modules() if isinstance(module, ClassQueryHead)]
    if len(heads) != 1:
        raise InputError(f"query similarity needs a network with one class-query head; this one has {len(heads)}")
    return cosines(heads[0].queries)


def cosines(queries: Tensor) -> Tensor:
    """Cosine between each two rows of (K, D): (K, K). A row of zeros has cosine 0 to all."""
    rows = functional.normalize(queries.detach().float().cpu(), dim=1)
    return (rows @ rows.T).clamp(-1, 1)
