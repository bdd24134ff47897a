"""A stream in torch's DataLoader and in torchdata's StatefulDataLoader, with and without workers."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import DataLoader

import phidata
from phidata import Sample, Stream, UsageError

from .conftest import MakeFolder
from .store import of_folder, serve

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torchdata.stateful_dataloader import StatefulDataLoader

WORKERS = [0, 1, 3]
pytestmark = [
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),  # more workers than CPUs
    pytest.mark.filterwarnings("ignore:'set_vital' is deprecated"),  # torchdata's
]


def name(sample: Sample) -> str:
    return sample.row.id


def ids(stream: Stream[Sample]) -> list[str]:
    return [sample.row.id for sample in stream]


def batches(whole: Sequence[str], size: int) -> list[Sequence[str]]:
    return [whole[begin : begin + size] for begin in range(0, len(whole), size)]


@pytest.mark.parametrize("num_workers", WORKERS)
def test_a_data_loader_gives_the_same_order_with_any_number_of_workers(
    make_folder: MakeFolder, num_workers: int
) -> None:
    stream = phidata.stream(make_folder(50), position=3, rank=1, world_size=2)
    whole = ids(stream)
    stream.set_epoch(1)
    whole_next = ids(phidata.stream(make_folder(50), epoch=1, rank=1, world_size=2))
    loader: DataLoader[Any] = DataLoader(stream.map(name).batches(4), batch_size=None, num_workers=num_workers)
    assert list(loader) == batches(whole_next, 4)
    assert len(loader) == 7
    samples: DataLoader[Any] = DataLoader(
        phidata.stream(make_folder(50), position=3, rank=1, world_size=2), batch_size=None, num_workers=num_workers
    )
    assert [sample.row.id for sample in samples] == whole


@pytest.mark.parametrize("persistent", [True, False])
def test_set_epoch_is_followed_by_workers(make_folder: MakeFolder, persistent: bool) -> None:
    stream = phidata.stream(make_folder(20)).map(name)
    loader: DataLoader[Any] = DataLoader(stream, batch_size=None, num_workers=2, persistent_workers=persistent)
    for epoch in (0, 1, 1, 5):
        stream.set_epoch(epoch)
        assert list(loader) == ids(phidata.stream(make_folder(20), epoch=epoch))


@pytest.mark.parametrize("later", WORKERS)
def test_an_epoch_goes_on_with_another_number_of_workers(make_folder: MakeFolder, later: int) -> None:
    whole = batches(ids(phidata.stream(make_folder(100))), 5)
    stream = phidata.stream(make_folder(100)).map(name).batches(5)
    loader: DataLoader[Any] = DataLoader(stream, batch_size=None, num_workers=2)
    taken = [batch for batch, _ in zip(loader, range(7), strict=False)]
    assert taken == whole[:7]
    with pytest.raises(UsageError, match=r"say how many batches were taken, state_dict\(taken=…\)"):
        stream.state_dict()
    state = stream.state_dict(taken=7)
    assert state["position"] == 35
    again = phidata.stream(make_folder(100)).map(name).batches(5)
    again.load_state_dict(state)
    assert list(DataLoader(again, batch_size=None, num_workers=later)) == whole[7:]


@pytest.mark.parametrize("num_workers", WORKERS)
@pytest.mark.parametrize("taken", [7, 20])
def test_a_stateful_data_loader_goes_on_where_it_was(make_folder: MakeFolder, num_workers: int, taken: int) -> None:
    whole = batches(ids(phidata.stream(make_folder(98))), 5)

    def loader() -> StatefulDataLoader[Any]:
        stream = phidata.stream(make_folder(98)).map(name).batches(5)
        return StatefulDataLoader(stream, batch_size=None, num_workers=num_workers)

    first = loader()
    iterator = iter(first)
    assert [next(iterator) for _ in range(taken)] == whole[:taken]
    state = first.state_dict()
    second = loader()
    second.load_state_dict(state)
    assert list(second) == whole[taken:]


def test_workers_fetch_what_they_read(make_folder: MakeFolder, tmp_path: Path) -> None:
    """The process that they are forked from has used the store, and its own thread for it, before."""
    folder = make_folder(60, shape="parquet", per_shard=20)
    with serve(of_folder(folder.parent)) as store:
        stream = phidata.stream(f"{store.url}/birds", cache=tmp_path)
        next(iter(stream))
        loader: DataLoader[Any] = DataLoader(stream.map(name), batch_size=None, num_workers=2)
        assert list(loader) == ids(phidata.stream(folder))
        assert len([path for path in store.requests if path.endswith("parquet")]) == 3


def test_torchs_own_batches_hold_each_row_once(make_folder: MakeFolder) -> None:
    stream = phidata.stream(make_folder(50)).map(name)
    loader: DataLoader[Any] = DataLoader(stream, batch_size=8, num_workers=2)
    assert sorted(name for batch in loader for name in batch) == sorted(ids(phidata.stream(make_folder(50))))


def test_a_stream_can_not_be_indexed(make_folder: MakeFolder) -> None:
    with pytest.raises(TypeError, match=r"import torch before phidata\.stream"):
        phidata.stream(make_folder(5))[0]
