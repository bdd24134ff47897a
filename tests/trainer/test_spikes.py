"""The guard over the loss: literal sequences, and what it makes of them."""

from __future__ import annotations

import random

import pytest

from phitrain.spikes import Spike, SpikeGuard


def spikes(losses: list[float], guard: SpikeGuard | None = None) -> list[int]:
    """The steps, counted from 1, that have one."""
    guard = guard or SpikeGuard()
    return [step for step, loss in enumerate(losses, 1) if guard.look(step, loss) is not None]


def noisy(count: int, level: float = 2.0, spread: float = 0.1) -> list[float]:
    draw = random.Random(7)
    return [draw.gauss(level, spread) for _ in range(count)]


def test_a_loss_far_above_the_others_is_a_spike() -> None:
    guard = SpikeGuard()
    losses = [2.0, 2.2] * 15
    assert [guard.look(step, loss) for step, loss in enumerate(losses, 1)] == [None] * 30
    found = guard.look(31, 4.0)
    assert found == Spike(step=31, loss=4.0, median=2.1, limit=pytest.approx(2.1 + 7 * 1.4826 * 0.1))
    assert str(found) == "the loss of step 31 is 4, far above the 2.1 of the steps before"


def test_noise_is_none() -> None:
    assert spikes(noisy(2000)) == []


def test_a_falling_and_a_slowly_rising_loss_are_none() -> None:
    falling = [10 * 0.98**step + noise for step, noise in enumerate(noisy(400, level=0.5, spread=0.02))]
    rising = [1 + 0.005 * step + noise for step, noise in enumerate(noisy(400, level=0.5, spread=0.02))]
    assert spikes(falling) == spikes(rising) == []


def test_a_loss_without_noise_may_rise_by_a_fifth() -> None:
    assert spikes([1.0] * 50 + [1.2, 1.0, 1.21]) == [53]


def test_the_first_twenty_losses_are_not_judged() -> None:
    assert spikes([1.0] * 19 + [9.0]) == []
    assert spikes([1.0] * 20 + [9.0]) == [21]


def test_spikes_do_not_hide_those_that_follow() -> None:
    losses = noisy(300)
    for at in range(40, 300, 5):
        losses[at] = 50.0
    assert spikes(losses) == list(range(41, 301, 5))


def test_a_level_that_stays_is_named_five_times() -> None:
    assert spikes(noisy(60) + noisy(100, level=6.0)) == [61, 62, 63, 64, 65]
    assert spikes(noisy(60) + noisy(100, level=6.0) + [20.0]) == [61, 62, 63, 64, 65, 161]


def test_skipped_steps_are_left_out() -> None:
    guard = SpikeGuard()
    for step, loss in enumerate(noisy(50), 1):
        assert guard.look(step, loss) is None
        assert guard.look(step, 1000.0, skipped=True) is None
        assert guard.look(step, None) is None
    assert guard.look(51, 4.0) is not None


def test_a_guard_made_of_a_log_goes_on_as_the_one_that_wrote_it() -> None:
    losses = [*noisy(70), 9.0, 9.0, 9.0, *noisy(40), 9.0]
    log = [{"step": step, "loss": loss, "skipped": False} for step, loss in enumerate(losses, 1)]
    assert spikes(losses) == [71, 72, 73, 114]
    for cut in (5, 72, 73, 100):
        guard = SpikeGuard.after(log[:cut])
        found = [step for step, loss in enumerate(losses[cut:], cut + 1) if guard.look(step, loss) is not None]
        assert found == [step for step in (71, 72, 73, 114) if step > cut]
