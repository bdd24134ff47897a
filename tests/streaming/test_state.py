"""The state of a stream is small, holds for any number of ranks, and is refused for other data."""

from __future__ import annotations

import json
import multiprocessing
import pickle
from itertools import islice
from pathlib import Path

import pytest

import phidata
from phidata import Sample, Stream, UsageError
from phidata.streaming.state import Place
from phidata.streaming.torch_workers import SharedPlace

from .conftest import MakeFolder


def ids(stream: Stream[Sample]) -> list[str]:
    return [sample.row.id for sample in stream]


def test_a_state_is_a_small_piece_of_json(make_folder: MakeFolder) -> None:
    stream = phidata.stream(make_folder(70, name="b" * 90), seed=10**18, epoch=10**9, window=10**6, endless=True)
    state = stream.state_dict()
    assert state == {
        "format": 1,
        "epoch": 10**9,
        "position": 0,
        "data": state["data"],
        "seed": 10**18,
        "shuffle": True,
        "window": 10**6,
        "mix": None,
        "stop": None,
    }
    assert len(json.dumps(state)) < 1000


def test_a_mix_of_many_folders_has_a_small_state(make_folder: MakeFolder, tmp_path: Path) -> None:
    folders = [tmp_path / f"set-{number}" for number in range(100)]
    for folder in folders:
        folder.symlink_to(make_folder(5))
    stream = phidata.stream(folders, mix={f"set-{number}": 1 + number for number in range(100)})
    assert len(json.dumps(stream.state_dict())) < 1000
    other = phidata.stream(folders, mix={f"set-{number}": 1 + number + number // 99 for number in range(100)})
    with pytest.raises(UsageError, match="made with mix="):
        other.load_state_dict(stream.state_dict())


def test_ranks_that_have_had_as_many_samples_have_one_state(make_folder: MakeFolder) -> None:
    ranks = [phidata.stream(make_folder(100), rank=rank, world_size=4) for rank in range(4)]
    for rank in ranks:
        list(islice(rank, 6))
    states = [rank.state_dict() for rank in ranks]
    assert states == [states[0]] * 4
    assert states[0]["position"] == 24


@pytest.mark.parametrize("later", [1, 3, 5])
def test_an_epoch_goes_on_with_another_number_of_ranks(make_folder: MakeFolder, later: int) -> None:
    whole = ids(phidata.stream(make_folder(100)))
    first = [phidata.stream(make_folder(100), rank=rank, world_size=4).batches(3) for rank in range(4)]
    before = [sample.row.id for rank in first for batch in islice(rank, 5) for sample in batch]
    state = json.loads(json.dumps(first[0].state_dict()))
    second = [phidata.stream(make_folder(100), rank=rank, world_size=later) for rank in range(later)]
    for rank in second:
        rank.load_state_dict(state)
    assert sorted(before) == sorted(whole[:60])
    assert [ids(rank) for rank in second] == [whole[60:][rank::later] for rank in range(later)]


def test_an_endless_stream_goes_on_over_the_end_of_an_epoch(make_folder: MakeFolder) -> None:
    whole = [sample.row.id for sample in islice(phidata.stream(make_folder(7), endless=True), 30)]
    stream = phidata.stream(make_folder(7), endless=True)
    list(islice(stream, 17))
    state = stream.state_dict()
    assert (state["epoch"], state["position"]) == (2, 3)
    stream = phidata.stream(make_folder(7), endless=True)
    stream.load_state_dict(state)
    assert [sample.row.id for sample in islice(stream, 13)] == whole[17:]


def test_a_state_from_the_end_of_an_epoch_leaves_nothing_of_it(make_folder: MakeFolder) -> None:
    stream = phidata.stream(make_folder(5))
    list(stream)
    again = phidata.stream(make_folder(5))
    again.load_state_dict(stream.state_dict())
    again.set_epoch(0)
    assert (len(again), ids(again)) == (0, [])
    again.set_epoch(1)
    assert ids(again) == ids(phidata.stream(make_folder(5), epoch=1))


def test_a_copy_of_a_stream_stands_where_it_stood(make_folder: MakeFolder) -> None:
    stream = phidata.stream(make_folder(5), position=2)
    copy = pickle.loads(pickle.dumps(stream))
    assert ids(copy) == ids(stream)
    assert ids(pickle.loads(pickle.dumps(stream))) == ids(phidata.stream(make_folder(5), epoch=1))


def test_data_that_was_moved_is_the_same_data(make_folder: MakeFolder) -> None:
    stream = phidata.stream(make_folder(5, shape="parquet"))
    moved = make_folder(5, shape="parquet").parent / "moved"
    if not moved.exists():
        moved.symlink_to(make_folder(5, shape="parquet"))
    phidata.stream(moved).load_state_dict(stream.state_dict())


def test_a_state_for_other_data_is_refused(make_folder: MakeFolder) -> None:
    state = phidata.stream(make_folder(5)).state_dict()
    with pytest.raises(UsageError, match=r"^this state was made for other data: its fingerprint is \w+, that of cats"):
        phidata.stream(make_folder(5, name="cats")).load_state_dict(state)


@pytest.mark.parametrize("change", [{"seed": 1}, {"shuffle": False}, {"window": 2}, {"mix": {"birds": 1}}])
def test_a_state_of_another_order_is_refused(make_folder: MakeFolder, change: dict[str, object]) -> None:
    state = phidata.stream(make_folder(5)).state_dict()
    with pytest.raises(UsageError, match=f"^this state was made with {next(iter(change))}=.*, and the stream has "):
        phidata.stream(make_folder(5), **change).load_state_dict(state)  # type: ignore[arg-type]


@pytest.mark.parametrize("state", [{}, {"format": 2}, {"format": 1, "epoch": 0}])
def test_what_is_no_state_is_refused(make_folder: MakeFolder, state: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="not the state of a stream"):
        phidata.stream(make_folder(5)).load_state_dict(state)


def test_a_position_that_the_data_does_not_have_is_refused(make_folder: MakeFolder) -> None:
    stream = phidata.stream(make_folder(5))
    with pytest.raises(UsageError, match="no position 6 in epoch 0"):
        stream.load_state_dict({**stream.state_dict(), "position": 6})


def test_a_place_is_shared_with_a_process_that_is_made_later() -> None:
    here, there = Place(epoch=1, position=2), Place(epoch=3, position=4)
    for method in ("fork", "spawn"):
        shared = SharedPlace(here)
        process = multiprocessing.get_context(method).Process(target=shared.put, args=(there,))
        process.start()
        process.join()
        assert (shared.place, shared.times) == (there, 2)
    copy = pickle.loads(pickle.dumps(shared))
    copy.put(here)
    assert (copy.place, shared.place) == (here, there)
