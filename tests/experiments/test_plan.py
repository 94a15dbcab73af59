"""Plans of experiments: every one of both sizes is read, and a wrong key is refused."""

from pathlib import Path

import pytest

from la_medical.errors import InputError
from la_medical.experiments.plan import SIZES, experiment_names, load_plan, read_plan, runs_of

NAMES = {"negative_examples", "similarity_and_gain", "partial_against_full", "chestxray14_official", "covid_1000",
         "ablation"}  # fmt: skip


def test_the_experiments_of_the_paper_are_there():
    assert set(experiment_names()) >= NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
@pytest.mark.parametrize("size", SIZES)
def test_every_plan_is_read(name, size):
    plan = load_plan(name, size)
    assert plan.question
    assert runs_of(plan, range(2))
    known = set(next(iter(plan.data.values())).sources)
    assert all(arm.known != "sources" or known for arm in plan.arms.values())


def test_the_table_of_the_paper_has_its_numbers_of_labels():
    data = load_plan("partial_against_full", "paper").data["seven_classes"]
    images = data.train
    assert sum(images.values()) == 15_062
    assert sum(images[name] * len(known) for name, known in data.sources.items()) == 75_310
    assert sum(images.values()) * len(data.classes) == 105_434
    assert images["chexpert"] * len(data.sources["chexpert"]) == 37_655


def written(folder: Path, text: str) -> Path:
    path = folder / "small.yaml"
    path.write_text("title: t\nquestion: q\n" + text)
    return path


GOOD = "data: {d: {source: mnist, root: m, train: 5}}\narms: {a: {}, b: {known: [x], data: [d], seeds: 1}}\n"


def test_runs_go_seed_by_seed_and_an_arm_may_have_fewer_seeds(tmp_path):
    plan = read_plan(written(tmp_path, GOOD), name="n", size="small")
    assert runs_of(plan, [0, 1]) == [("d", "a", 0), ("d", "b", 0), ("d", "a", 1)]
    assert plan.data["d"].parts[0].source == "mnist"
    assert plan.arms["b"].known == ("x",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + "stepps: 3\n", "no key 'stepps'"),
        (GOOD + "effects: [{arm: a, against: c}]\n", "the arm 'c'"),
        (GOOD + "analysis: magic\n", "analysis 'magic'"),
        ("data: {d: {source: mnist, root: m, trian: 5}}\narms: {a: {}}\n", "no key 'trian'"),
        ("data: {d: {source: mnist, root: m}}\narms: {a: {data: [e]}}\n", "data 'e'"),
        ("arms: {a: {}}\n", "needs data and arms"),
        ("data: [1\n", "cannot be read as YAML"),
    ],
)
def test_refusals(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        read_plan(written(tmp_path, text), name="n", size="small")


def test_unknown_names():
    assert "pancreatic_lesions" not in experiment_names()
    with pytest.raises(InputError, match=r"a program of its own: python .*run\.py"):
        load_plan("pancreatic_lesions", "small")
    with pytest.raises(InputError, match="there are: ablation"):
        load_plan("nothing", "small")
    with pytest.raises(InputError, match="expected small or paper"):
        load_plan("ablation", "huge")
