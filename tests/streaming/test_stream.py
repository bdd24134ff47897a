"""A stream gives each row once an epoch, whoever shares it, in an order that follows from its arguments."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

import phidata
from phidata import DataError, Sample, Stream, UsageError

from .conftest import PICTURE, MakeFolder


def ids(stream: Stream[Sample]) -> list[str]:
    return [sample.row.id for sample in stream]


def names(num_rows: int, name: str = "birds") -> list[str]:
    return [f"{name}-{number}" for number in range(num_rows)]


def test_each_row_comes_once_in_another_order_each_epoch(make_folder: MakeFolder) -> None:
    stream = phidata.stream(make_folder(100))
    epochs = [ids(stream) for _ in range(3)]
    assert [sorted(epoch) for epoch in epochs] == [sorted(names(100))] * 3
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert ids(phidata.stream(make_folder(100), epoch=2)) == epochs[2]
    assert ids(phidata.stream(make_folder(100), seed=1)) != epochs[0]


def test_the_order_is_what_it_was(make_folder: MakeFolder) -> None:
    assert ids(phidata.stream(make_folder(8))) == [f"birds-{number}" for number in (5, 3, 0, 7, 1, 4, 2, 6)]
    later = ids(phidata.stream(make_folder(8), seed=5, epoch=3))
    assert later == [f"birds-{number}" for number in (5, 2, 3, 1, 6, 4, 7, 0)]


def test_the_order_does_not_depend_on_the_shape(make_folder: MakeFolder) -> None:
    orders = [
        ids(phidata.stream(make_folder(30, shape=shape)))
        for shape in ("images-jsonl", "arrow", "parquet", "webdataset")
    ]
    assert orders == [orders[0]] * 4


def test_without_shuffling_rows_come_as_they_stand(make_folder: MakeFolder) -> None:
    folders = [make_folder(5), make_folder(3, name="cats")]
    assert ids(phidata.stream(folders, shuffle=False)) == names(5) + names(3, "cats")


def test_several_folders_are_one_set_of_rows(make_folder: MakeFolder) -> None:
    stream = phidata.stream([make_folder(50), make_folder(50, name="cats")])
    found = ids(stream)
    assert sorted(found) == sorted(names(50) + names(50, "cats"))
    assert 10 < sum(name.startswith("cats") for name in found[:50]) < 40
    assert (stream.num_samples, len(stream), stream.shares) == (100, 100, None)


def test_a_sample_has_its_place_and_its_images(make_folder: MakeFolder) -> None:
    samples = list(phidata.stream(make_folder(9)))
    assert [sample.position for sample in samples] == list(range(9))
    sample = pickle.loads(pickle.dumps(samples[4]))
    assert (sample.epoch, sample.source, sample.row.id) == (0, "birds", f"birds-{sample.number}")
    assert sample.image_bytes() == [PICTURE]
    assert [image.getpixel((0, 0)) for image in sample.images()] == [(200, 10, 10)]
    assert sample.images(num_turns=0) == []
    assert sample.where.endswith(f": row {sample.number + 1}: row 'birds-{sample.number}'")


@pytest.mark.parametrize("world_size", [1, 2, 3, 8])
def test_ranks_take_turns(make_folder: MakeFolder, world_size: int) -> None:
    whole = ids(phidata.stream(make_folder(100), position=11))
    for rank in range(world_size):
        part = phidata.stream(make_folder(100), position=11, rank=rank, world_size=world_size)
        assert len(part) == len(whole[rank::world_size])
        assert ids(part) == whole[rank::world_size]


def test_an_epoch_goes_on_at_any_position(make_folder: MakeFolder) -> None:
    whole = ids(phidata.stream(make_folder(3000), epoch=1))
    for position in (0, 1, 1024, 2999):
        assert ids(phidata.stream(make_folder(3000), epoch=1, position=position)) == whole[position:]


def test_the_end_of_an_epoch_is_followed_by_the_next(make_folder: MakeFolder) -> None:
    whole = ids(phidata.stream(make_folder(5), epoch=0)) + ids(phidata.stream(make_folder(5), epoch=1))
    stream = phidata.stream(make_folder(5), position=3)
    assert ids(stream) + ids(stream) == whole[3:]
    endless = phidata.stream(make_folder(5), endless=True, rank=1, world_size=2)
    assert [sample.row.id for sample in islice(endless, 5)] == whole[1::2]
    assert (endless.epoch, endless.state_dict()["position"]) == (2, 0)
    with pytest.raises(TypeError, match="no length"):
        len(endless)


def test_an_iteration_that_is_left_begins_again(make_folder: MakeFolder) -> None:
    stream = phidata.stream(make_folder(9), position=3)
    first = next(iter(stream)).row.id
    assert ids(stream)[0] == first
    assert stream.epoch == 0
    assert ids(stream) == ids(phidata.stream(make_folder(9), epoch=1))


def test_set_epoch_begins_another_epoch_and_keeps_a_position_in_its_own(make_folder: MakeFolder) -> None:
    stream = phidata.stream(make_folder(9), epoch=2, position=4)
    stream.set_epoch(2)
    assert len(ids(stream)) == 5
    stream.set_epoch(2)
    assert ids(stream) == ids(phidata.stream(make_folder(9), epoch=2))
    stream.set_epoch(7)
    assert ids(stream) == ids(phidata.stream(make_folder(9), epoch=7))


@pytest.mark.parametrize(
    ("uneven", "sizes"),
    [("keep", [[2, 2], [2, 1]]), ("drop", [[2], [2]]), ("fill", [[2, 2], [2, 2]])],
)
def test_the_uneven_end_of_an_epoch_is_kept_dropped_or_filled(
    make_folder: MakeFolder, uneven: phidata.streaming.Uneven, sizes: list[list[int]]
) -> None:
    ranks = [phidata.stream(make_folder(7), rank=rank, world_size=2, uneven=uneven).batches(2) for rank in range(2)]
    found = [[[sample.row.id for sample in batch] for batch in rank] for rank in ranks]
    assert [[len(batch) for batch in batches] for batches in found] == sizes
    order = ids(phidata.stream(make_folder(7))) + ids(phidata.stream(make_folder(7), epoch=1))
    assert [name for batch in found[1] for name in batch] == order[1::2][: sum(sizes[1])]


def test_functions_are_applied_to_samples_and_batches(make_folder: MakeFolder) -> None:
    stream = phidata.stream(make_folder(5), shuffle=False).map(lambda sample: sample.number).batches(2).map(sum)
    assert list(stream) == [1, 5, 4]
    with pytest.raises(UsageError, match="in batches already"):
        stream.batches(2)


@pytest.mark.parametrize("shuffle", [True, False])
def test_a_mix_keeps_its_shares_and_begins_small_sets_anew(make_folder: MakeFolder, shuffle: bool) -> None:
    folders = [make_folder(70), make_folder(10, name="cats")]
    stream = phidata.stream(folders, mix={"birds": 0.7, "cats": 0.3}, shuffle=shuffle)
    samples = list(stream)
    assert stream.shares == {"birds": 0.7, "cats": 0.3}
    assert (stream.num_samples, len(samples)) == (100, 100)
    for end in range(1, 101):
        assert abs(sum(sample.source == "cats" for sample in samples[:end]) - 0.3 * end) < 1
    assert sorted(sample.row.id for sample in samples) == sorted(names(70) + 3 * names(10, "cats"))
    cats = [sample.row.id for sample in samples if sample.source == "cats"]
    assert [len(set(cats[begin : begin + 10])) for begin in (0, 10, 20)] == [10, 10, 10]
    assert (cats[:10] == cats[10:20]) is not shuffle


def test_a_mix_can_end_with_its_first_set(make_folder: MakeFolder) -> None:
    folders = [make_folder(70), make_folder(10, name="cats")]
    stream = phidata.stream(folders, mix={"birds": 0.7, "cats": 0.3}, stop="first")
    assert stream.num_samples == 33
    assert max(Counter(ids(stream)).values()) == 1
    assert set(ids(stream)) != set(ids(stream))  # other rows of the large one in each epoch


def test_a_folder_can_be_named_by_its_path(make_folder: MakeFolder) -> None:
    folders = [make_folder(5), make_folder(6)]
    stream = phidata.stream(folders, mix={str(folders[0]): 1, str(folders[1]): 2})
    assert [source.name for source in stream.sources] == [str(folder) for folder in folders]
    assert Counter(sample.source for sample in stream) == {str(folders[0]): 5, str(folders[1]): 10}


def test_a_window_of_shards_is_read_at_a_time(make_folder: MakeFolder) -> None:
    stream = phidata.stream(make_folder(200, per_shard=20), window=3)
    counts = stream.sources[0].counts
    assert len(counts) > 8
    shard_of = [shard for shard, count in enumerate(counts) for _ in range(count)]
    shards = [shard_of[sample.number] for sample in stream]
    assert sorted(sample.row.id for sample in stream) == sorted(names(200))
    windows = []
    while shards:
        window = set(shards[:1])
        while shards and len(window | {shards[0]}) <= 3:
            window.add(shards.pop(0))
        windows.append(window)
    assert len(windows) == -(-len(counts) // 3)
    assert sorted(shard for window in windows for shard in window) == list(range(len(counts)))


def test_a_window_of_all_shards_is_no_window(make_folder: MakeFolder) -> None:
    folder = make_folder(200, per_shard=20)
    assert ids(phidata.stream(folder, window=100)) == ids(phidata.stream(folder))


def test_positions_of_all_ranks_can_be_looked_at(make_folder: MakeFolder) -> None:
    stream = phidata.stream(make_folder(30), rank=1, world_size=2)
    whole = ids(phidata.stream(make_folder(30)))
    assert [sample.row.id for sample in stream.samples(10, 14)] == whole[10:14]
    assert [sample.row.id for sample in stream.samples(28, 99)] == whole[28:]


def test_files_and_folders_without_a_manifest_are_streamed(tmp_path: Path) -> None:
    row = {"id": "", "source": "s", "conversations": [{"images": [], "user": "u", "assistant": "a"}]}
    file = tmp_path / "set_train.jsonl"
    file.write_text("".join(json.dumps({**row, "id": str(number)}) + "\n" for number in range(5)))
    assert sorted(ids(phidata.stream(file))) == list("01234")
    assert ids(phidata.stream(tmp_path, "train")) == ids(phidata.stream(file))


def test_rows_that_were_edited_after_the_manifest_are_counted_anew(make_folder: MakeFolder) -> None:
    folder = make_folder(6, name="edited", shape="images-jsonl")
    before = phidata.stream(folder).state_dict()
    file = folder / "edited_train.jsonl"
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:4]))
    after = phidata.stream(folder)
    assert after.num_samples == 4
    with pytest.raises(UsageError, match="made for other data"):
        after.load_state_dict(before)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"rank": 2, "world_size": 2}, r"rank 2 is not one of the 2 ranks 0 … 1"),
        ({"position": 6}, "no position 6 in epoch 0; epochs count from 0, and have 5 samples"),
        ({"epoch": -1}, "no position 0 in epoch -1"),
        ({"mix": {"dogs": 1}}, "mix names 'dogs', which is not among the data sets: 'birds'"),
        ({"mix": {}}, "mix has no weight for 'birds'"),
        ({"mix": {"birds": 0}}, "the weight 0; give one greater than 0"),
        ({"mix": {"birds": 1}, "stop": "never"}, "stop='never' is none of 'all', 'first'"),
        ({"uneven": "odd"}, "uneven='odd' is none of 'keep', 'drop', 'fill'"),
        ({"window": 0}, "window=0 shards"),
        ({"split": "val"}, r"no split 'val' in .*; it has 'train'"),
    ],
)
def test_what_can_not_be_streamed_is_refused(
    make_folder: MakeFolder, request_: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        phidata.stream(make_folder(5), **request_)  # type: ignore[arg-type]


def test_a_folder_that_is_given_twice_or_missing_is_refused(make_folder: MakeFolder, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is given twice"):
        phidata.stream([make_folder(5), make_folder(5)])
    with pytest.raises(UsageError, match="no data folder"):
        phidata.stream(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="no data set to stream"):
        phidata.stream([])


def test_no_rows_are_no_samples(make_folder: MakeFolder) -> None:
    assert ids(phidata.stream(make_folder(0))) == []
    with pytest.raises(UsageError, match="endless"):
        phidata.stream(make_folder(0), endless=True)
    with pytest.raises(UsageError, match="no rows to mix"):
        phidata.stream(make_folder(0), mix={"birds": 1})


def test_a_bad_row_is_told_when_its_turn_comes(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("{}\n")
    stream = phidata.stream(file)
    with pytest.raises(DataError, match=r"rows\.jsonl:1: this line is not a conversation"):
        next(iter(stream))


def test_memory_does_not_grow_with_rows(make_folder: MakeFolder) -> None:
    """A sample that stayed would take 500 bytes and more."""
    rows = iter(phidata.stream(make_folder(3000), endless=True))
    for _ in islice(rows, 7000):
        pass
    before = own_bytes()
    for _ in islice(rows, 20_000):
        pass
    assert own_bytes() - before < 4_000_000


def own_bytes() -> int:
    """The memory of this process that is not that of a file."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))
