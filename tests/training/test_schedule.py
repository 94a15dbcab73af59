"""The learning rate over a training."""

import math

import pytest
import torch

from la_medical.training.trainer import learning_rate_schedule, schedule_setting


def optimiser() -> torch.optim.Adam:
    return torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=0.6)


def rates(epochs: int, interval: int = 1) -> list[float]:
    optimizer = optimiser()
    schedule = learning_rate_schedule(schedule="cosine", optimizer=optimizer, max_epochs=epochs, val_interval=interval)
    seen = []
    for _ in range(epochs // interval):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step(0.5)
    return seen


def test_a_cosine_rises_over_a_third_and_falls() -> None:
    falling = [0.6 * 0.5 * (1 + math.cos(math.pi * done)) for done in (0, 0.25, 0.5, 0.75)]
    assert rates(6) == pytest.approx([0.2, 0.4, *falling])
    assert rates(12, interval=2) == pytest.approx(rates(6))
    assert rates(1) == pytest.approx([0.3])


def test_a_cosine_goes_on_where_it_was() -> None:
    optimizer = optimiser()
    first = learning_rate_schedule(schedule="cosine", optimizer=optimizer, max_epochs=6, val_interval=1)
    for _ in range(3):
        optimizer.step()
        first.step(0.0)
    again = optimiser()
    second = learning_rate_schedule(schedule="cosine", optimizer=again, max_epochs=6, val_interval=1)
    again.load_state_dict(optimizer.state_dict())
    second.load_state_dict(first.state_dict())
    again.step()
    second.step(0.0)
    assert again.param_groups[0]["lr"] == pytest.approx(0.6 * 0.5)


def test_a_plateau_halves_after_more_than_its_patience() -> None:
    optimizer = optimiser()
    schedule = learning_rate_schedule(schedule="plateau", optimizer=optimizer, max_epochs=9, val_interval=1, patience=1)
    seen = []
    for score in (0.5, 0.5, 0.5, 0.6):
        schedule.step(score)
        seen.append(optimizer.param_groups[0]["lr"])
    assert seen == pytest.approx([0.6, 0.6, 0.3, 0.3])


def test_only_a_cosine_knows_its_end() -> None:
    assert schedule_setting(schedule="plateau", max_epochs=3) == schedule_setting(schedule="plateau", max_epochs=9)
    assert schedule_setting(schedule="cosine", max_epochs=3) != schedule_setting(schedule="cosine", max_epochs=9)


def test_another_schedule_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        schedule_setting(schedule="step", max_epochs=3)
    assert stopped.value.code == 2
    assert "plateau, cosine" in capsys.readouterr().err
