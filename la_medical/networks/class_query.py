"""The class-query head: one learnable query a class, all answers from one matrix product.

Kang et al., Label-Assemble (ISBI 2023): w_c = W q_c + b and a_c = sigmoid(w_c . f(x)), for features f(x) of a whole
image (2D) or of one voxel (3D).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from la_medical.errors import InputError


class ClassQueryHead(nn.Module):
    """Answers K questions about the same features with one product: logit_c = w_c . f, where w_c = W q_c + b.

    The K queries are rows of length D, at first one-hot, learnable or fixed. D - K rows of the identity stay free for
    classes added later. `fc` (W: C x D, b: C) starts so that w_c is distributed as a row of `nn.Linear(C, K)`; torch's
    own start for `nn.Linear(D, C)` scales with D instead and costs accuracy.

    In eval mode and without gradients w is computed once; `train()`, `load_state_dict`, `.to(...)` and any optimiser
    step forget it.

    Args:
        in_channels: C, channels of the features.
        num_classes: K.
        query_dim: D >= K; None takes K, which leaves no free row.
        learnable: False keeps the queries one-hot (a fixed task code, as in DoDNet).
        class_bias: None for no bias a class (the paper); a number or K numbers to start one at, its log-odds
            (`log_odds`). True starts at 0.

    Raises:
        InputError: a size below 1, D < K, or a bias that is not K finite numbers.
    """

    queries: Tensor

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        query_dim: int | None = None,
        learnable: bool = True,
        class_bias: float | Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        query_dim = num_classes if query_dim is None else query_dim
        for name, value in (("in_channels", in_channels), ("num_classes", num_classes)):
            if value < 1:
                raise InputError(f"class-query head: {name} is {value}; expected 1 or more")
        if query_dim < num_classes:
            raise InputError(
                f"class-query head: query_dim {query_dim} is smaller than the {num_classes} classes; "
                f"give {num_classes} or more (more leaves room for classes added later)"
            )
        self.in_channels = in_channels
        self.learnable = learnable
        self._set_queries(torch.eye(query_dim)[:num_classes].clone())
        self.fc = nn.Linear(query_dim, in_channels)
        bound = 1.0 / math.sqrt(in_channels)
        nn.init.uniform_(self.fc.weight, -bound, bound)
        nn.init.zeros_(self.fc.bias)
        bias = _bias_values(class_bias, num_classes)
        self.class_bias = None if bias is None else nn.Parameter(bias)
        self._kept: Tensor | None = None
        self._kept_from: tuple[tuple[int, int], ...] = ()
        self.register_load_state_dict_post_hook(_forget_after_loading)

    @property
    def num_classes(self) -> int:
        """K, the number of classes answered."""
        return int(self.queries.shape[0])

    @property
    def query_dim(self) -> int:
        """D, the length of a query."""
        return int(self.queries.shape[1])

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, C) to logits (B, K), or (B, C, *spatial) to (B, K, *spatial) with 1 to 3 spatial axes."""
        if not (torch.jit.is_scripting() or torch.jit.is_tracing()):  # type: ignore[attr-defined]
            self._check(features)
        weight = self.class_weights()
        if features.dim() == 2:
            return functional.linear(features, weight, self.class_bias)
        # A 1 x 1 convolution is the matrix product at every voxel, without moving the channel axis.
        if features.dim() == 3:
            return functional.conv1d(features, weight[:, :, None], self.class_bias)
        if features.dim() == 4:
            return functional.conv2d(features, weight[:, :, None, None], self.class_bias)
        return functional.conv3d(features, weight[:, :, None, None, None], self.class_bias)

    def class_weights(self) -> Tensor:
        """w (K, C): one weight vector a class, kept in eval mode while no gradient is asked for."""
        if torch.jit.is_scripting():  # type: ignore[attr-defined]
            return functional.linear(self.queries, self.fc.weight, self.fc.bias)
        return self._class_weights()

    @torch.jit.unused
    def _class_weights(self) -> Tensor:
        recorded = torch.jit.is_tracing() or torch.compiler.is_compiling()  # type: ignore[attr-defined]
        if self.training or torch.is_grad_enabled() or recorded:
            return self._product()
        # In-place updates (optimiser steps) raise a parameter's version, so they are noticed without train().
        made_from = tuple((id(p), p._version) for p in self._sources() if not p.is_inference())
        if self._kept is None or self._kept_from != made_from:
            self._kept, self._kept_from = self._product(), made_from
        return self._kept

    @torch.jit.unused
    def _product(self) -> Tensor:
        if torch.compiler.is_exporting():
            return functional.linear(self.queries, self.fc.weight, self.fc.bias)
        # K x D x C multiplications: too few to gain from 16 bits, whose rounding would swallow the queries' learning.
        with torch.autocast(self.queries.device.type, enabled=False):
            return functional.linear(self.queries, self.fc.weight, self.fc.bias)

    def add_class(self, grow: bool = False, bias: float = 0.0, generator: torch.Generator | None = None) -> int:
        """Append a class and return its position; parameters of the old ones stay bit-identical.

        Make the optimiser anew afterwards: `queries` is another tensor.

        Args:
            grow: when no row of D is free, lengthen D by one (a column of zeros for the old queries, a new column of
                W); otherwise that is an error.
            bias: start of the new class's bias, its log-odds; used only if the head has biases.
            generator: source of the new column of W when D grows.

        Raises:
            InputError: no free row and `grow` is False.
        """
        with torch.no_grad():
            if self.num_classes == self.query_dim:
                if not grow:
                    raise InputError(
                        f"all {self.query_dim} query rows are taken by the {self.num_classes} classes; ask to grow the "
                        "queries, or train with a larger query_dim"
                    )
                self._grow(generator)
            row = torch.zeros_like(self.queries[:1])
            row[0, self.num_classes] = 1.0
            self._set_queries(torch.cat([self.queries.detach(), row]))
            if self.class_bias is not None:
                self.class_bias = nn.Parameter(torch.cat([self.class_bias, self.class_bias.new_tensor([bias])]))
        self._forget()
        return self.num_classes - 1

    def _grow(self, generator: torch.Generator | None) -> None:
        bound = 1.0 / math.sqrt(self.in_channels)
        column = (torch.rand(self.in_channels, 1, generator=generator) * 2 - 1) * bound
        wider = nn.Linear(self.query_dim + 1, self.in_channels).to(self.fc.weight)
        wider.weight.copy_(torch.cat([self.fc.weight, column.to(self.fc.weight)], dim=1))
        wider.bias.copy_(self.fc.bias)
        self.fc = wider
        self._set_queries(functional.pad(self.queries.detach(), (0, 1)))

    def _set_queries(self, values: Tensor) -> None:
        if self.learnable:
            self.queries = nn.Parameter(values)
        else:
            self.register_buffer("queries", values)

    def _sources(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.queries, self.fc.weight, self.fc.bias

    @torch.jit.unused
    def _check(self, features: Tensor) -> None:
        if not 2 <= features.dim() <= 5 or features.shape[1] != self.in_channels:
            raise InputError(
                f"class-query head: features of shape {tuple(features.shape)}; expected (B, {self.in_channels}) or "
                f"(B, {self.in_channels}, *spatial) with 1 to 3 spatial axes"
            )

    def _forget(self) -> None:
        self._kept, self._kept_from = None, ()

    def train(self, mode: bool = True) -> "ClassQueryHead":
        """Set training mode and forget the kept weights."""
        self._forget()
        return super().train(mode)

    def _apply(self, *args: Any, **kwargs: Any) -> "ClassQueryHead":
        self._forget()  # .to(device or dtype), .half(), .share_memory() pass here
        return super()._apply(*args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_kept": None, "_kept_from": ()}


def log_odds(positives: Sequence[float] | Tensor, negatives: Sequence[float] | Tensor) -> list[float]:
    """log((p + 1/2) / (n + 1/2)) of each class, from its known positives and negatives; unknown ones do not count.

    The halves (Haldane and Anscombe) keep classes with one kind of label only finite.
    """
    p = torch.as_tensor(positives, dtype=torch.float64)
    n = torch.as_tensor(negatives, dtype=torch.float64)
    return [float(value) for value in torch.log((p + 0.5) / (n + 0.5))]


def parameter_groups(network: nn.Module, weight_decay: float = 0.0) -> list[dict[str, Any]]:
    """Two optimiser groups: everything with `weight_decay`, and the queries and class biases without.

    Decay would pull every query to zero, and with it all classes to the one shared vector b.
    """
    spared = {id(p) for p in _spared(network)}
    trained = [p for p in network.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if id(p) not in spared], "weight_decay": weight_decay},
        {"params": [p for p in trained if id(p) in spared], "weight_decay": 0.0},
    ]


def train_only_class(network: nn.Module, position: int) -> None:
    """`train_only_classes` for one class."""
    train_only_classes(network, [position])


def train_only_classes(network: nn.Module, positions: Sequence[int]) -> None:
    """Freeze everything but the queries (and biases) of some classes, so that the others' answers cannot change.

    Leave the network in eval mode while fitting (batch statistics would move) and give the optimiser
    no weight decay: `parameter_groups` does that.

    Raises:
        InputError: no class-query head, fixed queries, or no such class.
    """
    heads = [module for module in network.modules() if isinstance(module, ClassQueryHead)]
    if not heads or not all(head.learnable for head in heads):
        raise InputError("freezing all but some classes needs a class-query head with learnable queries")
    for position in positions:
        if not all(0 <= position < head.num_classes for head in heads):
            raise InputError(f"class {position} is not one of the {heads[0].num_classes} classes (0 is the first)")
    network.requires_grad_(False)
    for head in heads:
        for parameter in (head.queries, head.class_bias):
            if parameter is not None:
                only = torch.zeros_like(parameter)
                only[list(positions)] = 1.0
                parameter.requires_grad_(True)
                parameter.register_hook(lambda grad, only=only: grad * only.to(grad))


def _spared(network: nn.Module) -> Iterator[Tensor]:
    for module in network.modules():
        if isinstance(module, ClassQueryHead):
            yield module.queries
            if module.class_bias is not None:
                yield module.class_bias


def _forget_after_loading(head: ClassQueryHead, _keys: Mapping[str, Any]) -> None:
    head._forget()


def _bias_values(given: float | Sequence[float] | None, num_classes: int) -> Tensor | None:
    if given is None or given is False:
        return None
    values = torch.zeros(num_classes)
    start = torch.as_tensor(0.0 if given is True else given, dtype=torch.float32)
    if start.shape not in ((), (num_classes,)) or not bool(torch.isfinite(start).all()):
        raise InputError(f"class_bias {given!r}: expected one finite number, or one for each of {num_classes} classes")
    return values + start
