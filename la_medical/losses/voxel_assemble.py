"""The 3D loss: partial cross-entropy and Dice, the relations of the label space, and what unknown voxels teach."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from la_medical.errors import InputError
from la_medical.losses.dice import batch_dice
from la_medical.losses.exclusion import competing_logits, exclusion_penalty, respectful_directions
from la_medical.losses.label_assemble import thresholds
from la_medical.losses.masked_mean import NORMALISATIONS, Reduce, known_entries, widened
from la_medical.losses.partial_label import check_shapes, partial_bce
from la_medical.losses.pseudo_label import squared_distance
from la_medical.losses.relations import Relations
from la_medical.losses.sharpen import above, check_temperature, sharpen
from la_medical.losses.terms import term_weights, weighted_total
from la_medical.losses.union import union_terms

WEIGHTS = {
    "bce": 1.0,
    "dice": 1.0,
    "union": 1.0,
    "union_dice": 1.0,
    "exclusion": 1.0,
    "pseudo": 1.0,
    "consist": 1.0,
}


class VoxelAssembleLoss(nn.Module):
    """Six ways to learn from one partly labelled volume, as named terms.

    The known labels are first completed by the relations (`Relations.implied`): inside a PDAC voxel cyst and PanNET are
    known negatives, and outside a tumour every member of the tumour is.

    `bce` partial cross-entropy and `dice` batch Dice, over known entries; `union` and `union_dice` the same of
    p_u = 1 - prod(1 - p_m) where a union is known; `exclusion` the penalty for two excluding answers at an unknown
    voxel; after the warm-up, over unknown entries, `pseudo` and `consist` as in `LabelAssembleLoss`, with pseudo-labels
    that respect the relations.

    Args:
        relations: of the label space (`Relations.of`); None for classes that have none.
        tau: threshold of Eq. 1, one number or one a class.
        temperature: t of Eq. 1, from 1 to infinity.
        normalisation: of `bce`, `union`, `pseudo` and `consist`: `global`, `per_class` or `per_sample`.
        warmup_epochs: `pseudo` and `consist` are 0 up to and including this epoch, counted from 1.
        weights: factors of the terms in `total`; those left out are 1. A term of weight 0 is not computed, and is 0.
        positive_weight: factor of the positive part of `bce`, one a class.
        dice_smoothing: in voxels.
        reduce: sums over processes the sums of Dice, and numerators and denominators of means (`all_reduce_sum`).
        compete: the network's logits compete among excluding classes (`competing_logits`), in every term; inference
            must then do the same.
        complete: complete the targets by the relations; False where the data path has done so already.

    Raises:
        InputError: a value out of its range.
    """

    tau: Tensor
    positive_weight: Tensor | None

    def __init__(
        self,
        relations: Relations | None = None,
        tau: float | Sequence[float] = 0.5,
        temperature: float = 4.0,
        normalisation: str = "global",
        warmup_epochs: int = 0,
        weights: Mapping[str, float] | None = None,
        positive_weight: Sequence[float] | None = None,
        dice_smoothing: float = 1.0,
        reduce: Reduce | None = None,
        compete: bool = False,
        complete: bool = True,
    ) -> None:
        super().__init__()
        check_temperature(temperature)
        if normalisation not in NORMALISATIONS:
            raise InputError(f"normalisation {normalisation!r}: expected one of {', '.join(NORMALISATIONS)}")
        if warmup_epochs < 0:
            raise InputError(f"warmup_epochs is {warmup_epochs}; expected 0 or more")
        if compete and relations is None:
            raise InputError("compete needs relations: without exclusions no class competes")
        self.relations = relations
        self.compete = compete
        self.complete = complete
        self.temperature = temperature
        self.normalisation = normalisation
        self.warmup_epochs = warmup_epochs
        self.weights = term_weights(weights, WEIGHTS)
        self.dice_smoothing = dice_smoothing
        self.reduce = reduce
        # Settings, not state: they move with the loss but stay out of its state dict.
        self.register_buffer("tau", thresholds(tau), persistent=False)
        positive = None if positive_weight is None else torch.as_tensor(positive_weight).float()
        self.register_buffer("positive_weight", positive, persistent=False)

    def forward(
        self, weak_logits: Tensor, strong_logits: Tensor | None, targets: Tensor, epoch: int
    ) -> dict[str, Tensor]:
        """The terms, unweighted.

        Args:
            weak_logits: (B, K, *spatial), of the weakly augmented view.
            strong_logits: the same of the strong view, voxel by voxel aligned; None leaves `consist` at 0.
            targets: the same shape: 1, 0, NaN where unknown.
            epoch: the running epoch, counted from 1.
        """
        check_shapes(weak_logits, targets)
        relations, raw_logits = self.relations, weak_logits
        if relations is not None and self.complete:
            targets = relations.implied(targets)
        if relations is not None and self.compete:
            weak_logits = competing_logits(weak_logits, relations)
            strong_logits = None if strong_logits is None else competing_logits(strong_logits, relations)
        terms = {
            "bce": partial_bce(weak_logits, targets, self.normalisation, self.positive_weight, self.reduce),
            "dice": self._dice(weak_logits, targets),
        }
        zero = torch.zeros_like(terms["bce"])
        terms |= dict.fromkeys(("union", "union_dice", "exclusion", "pseudo", "consist"), zero)
        if relations is not None and relations.has_unions and self._wanted("union", "union_dice"):
            competing = self.compete and relations.unions_exclusive
            terms["union"], terms["union_dice"] = union_terms(
                raw_logits if competing else weak_logits,
                targets,
                relations,
                self.normalisation,
                self.dice_smoothing,
                self.reduce,
                competing,
            )
        if relations is not None and relations.has_exclusions and self._wanted("exclusion"):
            terms["exclusion"] = exclusion_penalty(weak_logits, targets, relations, self.reduce)
        if epoch > self.warmup_epochs and self._wanted("pseudo", "consist"):
            pseudo_labels, counted = self._pseudo_labels(weak_logits, targets)
            terms["pseudo"] = squared_distance(
                weak_logits, pseudo_labels, counted, self.normalisation, reduce=self.reduce
            )
            if strong_logits is not None:
                check_shapes(strong_logits, targets)
                terms["consist"] = squared_distance(
                    strong_logits, pseudo_labels, counted, self.normalisation, reduce=self.reduce
                )
        return terms

    def _wanted(self, *names: str) -> bool:
        return any(self.weights[name] > 0 for name in names)

    def total(self, terms: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum that is trained on."""
        return weighted_total(terms, self.weights)

    def _dice(self, logits: Tensor, targets: Tensor) -> Tensor:
        probabilities = torch.where(known_entries(targets), widened(logits), 0).sigmoid()
        return batch_dice(probabilities, targets, self.dice_smoothing, self.reduce)

    @torch.no_grad()
    def _pseudo_labels(self, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        a = widened(logits).sigmoid()
        raised, counted = above(a, self.tau), ~known_entries(targets)
        if self.relations is not None:
            raised, counted = respectful_directions(a, targets, raised, self.relations)
        return sharpen(a, self.tau, self.temperature, raised), counted
