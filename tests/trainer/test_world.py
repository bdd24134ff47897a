"""What a process knows of the others: its device, and that all of them do the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from phidata.errors import DataError, UsageError
from phitrain.engine import World, own_device


class Beside(World):
    """The first of two processes; the other one has `others` where values are gathered."""

    others: Any = None

    def gather(self, value: Any) -> list[Any]:
        return [value, self.others]


def first_of_two(others: Any) -> World:
    world = Beside(rank=0, size=2, device=torch.device("cpu"))
    object.__setattr__(world, "others", others)
    return world


def test_a_process_has_the_device_that_its_launcher_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert own_device(4) == torch.device("cuda", 3)


@pytest.mark.parametrize("named", ["4", "", "-1"])
def test_a_process_without_a_device_of_its_own_is_refused(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", named)
    with pytest.raises(UsageError, match=r"with 4 GPUs; start one process a GPU, as `torchrun --nproc_per_node=4`"):
        own_device(4)


def test_processes_that_would_train_apart_are_refused() -> None:
    first_of_two("the same").refuse_others("another model", "the same")
    with pytest.raises(UsageError, match="process 1 has another model than process 0; give all of them the same"):
        first_of_two("an older one").refuse_others("another model", "a newer one")


def test_a_file_that_can_not_be_written_is_a_sentence_for_all() -> None:
    def fail(_tensors: Iterator[int]) -> None:
        raise OSError(28, "No space left on device", "out/model.safetensors")

    left = iter(range(3))
    with pytest.raises(DataError, match=r"^out/model\.safetensors can not be written \(No space left on device\);"):
        first_of_two(None).write_on_main(left, fail)
    assert list(left) == []  # the others gather along to the end
