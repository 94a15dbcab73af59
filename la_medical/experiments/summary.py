"""What the runs amount to: tables, a figure, and a paragraph that says what was found, also when it is nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from la_medical.artifacts import write_text
from la_medical.experiments.effects import SeedEffect, mean_interval, seed_effect
from la_medical.experiments.per_class import class_section
from la_medical.experiments.per_source import source_section
from la_medical.experiments.plan import Plan
from la_medical.experiments.query_gain import gain_section
from la_medical.reports.drawing import BLUE, FAINT, INK, Drawing, drawn, save

EFFECT_COLUMNS = ("data", "arm", "against", "n", "estimate", "low", "high", "paired_p", "two_sample_p", "margin",
                  "equivalence_p")  # fmt: skip


def write_summary(plan: Plan, runs: pd.DataFrame, out: Path) -> Path:
    """Write `summary.csv`, `effects.csv`, `arms.svg` and `summary.md` into `out`; returns the last.

    Args:
        plan: what was compared.
        runs: one row a run.
        out: folder.
    """
    arms, effects = arm_table(plan, runs), effect_table(plan, runs)
    write_text(out / "summary.csv", arms.to_csv(index=False, lineterminator="\n", float_format="%.6g"))
    write_text(out / "effects.csv", effects.to_csv(index=False, lineterminator="\n", float_format="%.6g"))
    parts = [f"# {plan.title}", plan.question.strip(), f"**Found.** {' '.join(sentences(plan, effects, runs))}"]
    if plan.remarks:
        parts.append(plan.remarks.strip())
    parts += ["## Arms", "Mean over seeds of the mean AUC over scored classes of the test images, with its 95% "
              "interval (t over seeds; it holds the draw of training images and of the start, not of test images). "
              "Arms that answer fewer classes are not comparable by it.",
              markdown(_shown_arms(arms))]  # fmt: skip
    if len(effects):
        parts += ["## Differences", "Arm minus the other on the same seeds.", markdown(_shown_effects(effects))]
    if plan.analysis == "similarity_gain":
        parts += gain_section(plan, runs, out)
    if plan.analysis == "per_source":
        parts += source_section(runs)
    if plan.analysis == "per_class":
        parts += class_section(runs)
    save(_figure(plan, arms), out)
    parts.append("![Mean AUC of each arm](arms.svg)")
    path = out / "summary.md"
    write_text(path, "\n\n".join(parts) + "\n")
    return path


def arm_table(plan: Plan, runs: pd.DataFrame) -> pd.DataFrame:
    """One row for each data set and arm, in the order of the plan."""
    rows = []
    for (data, arm), own in _groups(plan, runs):
        mean, low, high = mean_interval(own["auroc"])
        val = float(own["val_score"].mean())
        first = own.iloc[0]
        areas = [name for name in runs.columns if str(name).startswith("auroc.") and "@" not in str(name)]
        facts = {"classes": int(first[areas].notna().sum())} | {
            key: int(first[key]) for key in ("train_images", "known_labels", "forward_passes", "parameters")
        }
        rows.append({"data": data, "arm": arm, "n": len(own), "auroc": mean, "low": low, "high": high,
                     "val_score": val, "steps": int(own["steps"].max()), **facts})  # fmt: skip
    return pd.DataFrame(rows)


def effect_table(plan: Plan, runs: pd.DataFrame) -> pd.DataFrame:
    """The planned comparisons on each data set where both arms have at least one common seed."""
    rows = []
    for data in plan.data:
        for effect in plan.effects:
            own = runs[runs["data"] == data].set_index(["seed", "arm"])["auroc"].unstack()  # noqa: PD010 - a run a cell, nothing to aggregate
            if effect.arm not in own or effect.against not in own:
                continue
            both = own[[effect.arm, effect.against]].dropna()
            if both.empty:
                continue
            found = seed_effect(both[effect.arm], both[effect.against], margin=effect.margin)
            rows.append({"data": data, "arm": effect.arm, "against": effect.against, **vars(found)})
    return pd.DataFrame(rows, columns=[*EFFECT_COLUMNS, "mean_a", "mean_b"])


def sentences(plan: Plan, effects: pd.DataFrame, runs: pd.DataFrame) -> list[str]:
    """The findings in words; nothing found is said as well."""
    said = [f"{len(runs)} runs, seeds {', '.join(map(str, sorted(set(runs['seed']))))}."]
    for row in effects.to_dict("records"):
        found = SeedEffect(**{key: row[key] for key in SeedEffect.__dataclass_fields__})
        said.append(_sentence(row["data"], row["arm"], row["against"], found))
    if not len(effects) and plan.analysis == "effects":
        said.append("No comparison has both arms on one seed: nothing can be said.")
    return said


def _sentence(data: str, arm: str, against: str, found: SeedEffect) -> str:
    what = f"On {data}, {arm} against {against}: {found.estimate:+.4f} AUC"
    if math.isnan(found.paired_p):
        return f"{what} with {found.n} seed{'s' * (found.n != 1)}; too few for a test."
    text = f"{what} (95% CI {found.low:+.4f} to {found.high:+.4f}; paired t p = {found.paired_p:.3g}, "
    text += f"two-sample p = {found.two_sample_p:.3g}, {found.n} seeds)"
    shown = found.low > 0 or found.high < 0
    text += ", a difference." if shown else ", no difference shown: the interval holds 0."
    if found.margin is not None and not math.isnan(found.margin):
        verdict = "shown" if found.equivalence_p < 0.05 else "not shown"
        text += f" Equivalence within {found.margin:g} is {verdict} (TOST p = {found.equivalence_p:.3g})."
    return text


def markdown(table: pd.DataFrame) -> str:
    """A table of text as Markdown."""
    lines = ["| " + " | ".join(map(str, table.columns)) + " |", "|" + "---|" * len(table.columns)]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in table.itertuples(index=False)]
    return "\n".join(lines)


def _shown_arms(arms: pd.DataFrame) -> pd.DataFrame:
    shown = arms[["data", "arm", "n"]].copy()
    shown["AUC"] = [_interval(a, b, c) for a, b, c in arms[["auroc", "low", "high"]].to_numpy(dtype=float)]
    names = {"val_score": "validation", "classes": "classes", "steps": "steps", "train_images": "images",
             "known_labels": "labels", "forward_passes": "passes", "parameters": "parameters"}  # fmt: skip
    for column, name in names.items():
        shown[name] = [f"{value:.4f}" if column == "val_score" else f"{int(value):,}" for value in arms[column]]
    return shown


def _shown_effects(effects: pd.DataFrame) -> pd.DataFrame:
    shown = effects[["data", "arm", "against", "n"]].copy()
    shown["difference"] = [
        _interval(a, b, c, "+") for a, b, c in effects[["estimate", "low", "high"]].to_numpy(dtype=float)
    ]
    for column, name in (("paired_p", "paired p"), ("two_sample_p", "two-sample p")):
        shown[name] = [number(value, ".3g") for value in effects[column]]
    tost = effects[["margin", "equivalence_p"]].itertuples(index=False)
    shown["TOST"] = ["" if pd.isna(m) else f"+-{m:g}: p = {number(p, '.3g')}" for m, p in tost]
    return shown


def number(value: float, form: str) -> str:
    """A number as text, or a dash where it is undefined."""
    return "-" if pd.isna(value) else f"{value:{form}}"


def _interval(mean: float, low: float, high: float, sign: str = "") -> str:
    if pd.isna(mean):
        return "-"
    form = f"{sign}.4f"
    return f"{mean:{form}}" if pd.isna(low) else f"{mean:{form}} ({low:{form}} to {high:{form}})"


def _groups(plan: Plan, runs: pd.DataFrame) -> Sequence[tuple[tuple[str, str], pd.DataFrame]]:
    groups = dict(list(runs.groupby(["data", "arm"], sort=False)))
    return [((data, arm), groups[data, arm]) for data in plan.data for arm in plan.arms if (data, arm) in groups]


def _figure(plan: Plan, arms: pd.DataFrame) -> Drawing:
    labels = [f"{row.data}: {row.arm}" if len(plan.data) > 1 else row.arm for row in arms.itertuples()]
    places = list(range(len(arms)))[::-1]

    def paint(axes: Any) -> None:
        low, high = (arms["auroc"] - arms["low"]).fillna(0), (arms["high"] - arms["auroc"]).fillna(0)
        axes.errorbar(arms["auroc"], places, xerr=[low, high], fmt="o", color=BLUE, ecolor=FAINT, capsize=3)
        axes.set_yticks(places, labels, color=INK, fontsize=8)
        axes.set(xlabel="Mean AUC on test images")

    return drawn(
        "arms", paint, title=plan.title, data=arms, alt="Mean AUC of each arm with its interval over seeds",
        caption="Mean over seeds with its 95% interval", size=(6.0, 1.2 + 0.28 * len(arms)),
    )  # fmt: skip
