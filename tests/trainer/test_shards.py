"""Safetensors files: written and read one tensor at a time, as the library reads and writes them."""

from __future__ import annotations

import json
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from phidata.errors import DataError, UsageError
from phitrain.shards import Entry, Stored, entries_of, plan_shards, size_of, weight_files, write_shards

VALUES = {
    "a": torch.arange(6, dtype=torch.float32).view(2, 3),
    "b": torch.tensor(2.5),
    "c": torch.zeros(0, 4),
    "d": torch.ones(5, 2),
}
SHAPES = {name: tuple(value.shape) for name, value in VALUES.items()}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("max_bytes", [20, 1000])
def test_the_library_reads_what_is_written(tmp_path: Path, dtype: torch.dtype, max_bytes: int) -> None:
    write_shards(tmp_path, entries_of(SHAPES, dtype), reversed(VALUES.items()), max_bytes=max_bytes)
    found = {name: value for file in weight_files(tmp_path) for name, value in load_file(file).items()}
    assert {name: value.dtype for name, value in found.items()} == dict.fromkeys(VALUES, dtype)
    assert all(torch.equal(found[name], value.to(dtype)) for name, value in VALUES.items())


def test_what_the_library_writes_is_read(tmp_path: Path) -> None:
    values = {**VALUES, "e": torch.tensor([True, False]), "f": torch.tensor([1, -2], dtype=torch.int64)}
    save_file(values, tmp_path / "model.safetensors", metadata={"format": "pt"})
    stored = Stored(weight_files(tmp_path))
    assert stored.entries["a"] == Entry(name="a", dtype=torch.float32, shape=(2, 3))
    assert all(torch.equal(stored.read(name), value) for name, value in values.items())


def test_shards_are_filled_in_order_up_to_their_size() -> None:
    entries = entries_of({"a": (4,), "b": (4,), "c": (9,), "d": (1,)}, torch.bfloat16)
    names = [[entry.name for entry in shard] for shard in plan_shards(entries, 16)]
    assert names == [["a", "b"], ["c"], ["d"]]


def test_the_index_says_where_each_tensor_lies(tmp_path: Path) -> None:
    paths = write_shards(tmp_path, entries_of(SHAPES, torch.float32), VALUES.items(), stem="state", max_bytes=30)
    first, second = "state-00001-of-00002.safetensors", "state-00002-of-00002.safetensors"
    assert [path.name for path in paths] == [first, second, "state.safetensors.index.json"]
    assert json.loads(paths[2].read_text()) == {
        "metadata": {"total_size": 68},
        "weight_map": {"a": first, "b": first, "c": first, "d": second},
    }


def test_one_tensor_at_a_time_is_in_memory(tmp_path: Path) -> None:
    alive: weakref.WeakSet[Tensor] = weakref.WeakSet()

    def tensors() -> Iterator[tuple[str, Tensor]]:
        for name, shape in SHAPES.items():
            assert not alive
            yield name, remembered(torch.zeros(shape))

    def remembered(tensor: Tensor) -> Tensor:
        alive.add(tensor)
        return tensor

    write_shards(tmp_path, entries_of(SHAPES, torch.float32), tensors())
    assert len(load_file(tmp_path / "model.safetensors")) == 4


def test_a_partitioned_tensor_is_never_written_for_a_whole_one(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"d has shape \(0,\), expected \(5, 2\): a partitioned tensor must be"):
        write_shards(tmp_path, entries_of(SHAPES, torch.float32), {**VALUES, "d": torch.zeros(0)}.items())


def test_every_tensor_must_come_and_no_other(tmp_path: Path) -> None:
    entries = entries_of(SHAPES, torch.float32)
    with pytest.raises(AssertionError, match="2 tensors were not given: b, d"):
        write_shards(tmp_path, entries, [("a", VALUES["a"]), ("c", VALUES["c"])])
    with pytest.raises(AssertionError, match="x is not a tensor of these files"):
        write_shards(tmp_path, entries, [("x", VALUES["a"])])
    with pytest.raises(AssertionError, match="a is not a tensor of these files, or was already written"):
        write_shards(tmp_path, entries, [("a", VALUES["a"]), ("a", VALUES["a"])])


def test_what_fp16_can_not_hold_is_named(tmp_path: Path) -> None:
    entries = entries_of({"w": (2,)}, torch.float16)
    with pytest.raises(DataError, match=r"w has values beyond the range of fp16 \(65504\); use bf16 or fp32"):
        write_shards(tmp_path, entries, [("w", torch.tensor([1.0, 7e4]))])
    write_shards(tmp_path, entries, [("w", torch.tensor([1.0, float("inf")]))])  # it was not finite before
    assert load_file(tmp_path / "model.safetensors")["w"].tolist() == [1.0, float("inf")]


@pytest.mark.parametrize("cut", [4, 60, 200])
def test_a_cut_file_is_named(tmp_path: Path, cut: int) -> None:
    file = tmp_path / "model.safetensors"
    save_file({"a": torch.zeros(100)}, file)
    file.write_bytes(file.read_bytes()[:cut])
    with pytest.raises(DataError, match=r"model\.safetensors is (not a safetensors file|damaged or cut off)"):
        Stored([file])


@pytest.mark.parametrize(
    "header",
    ["[]", '{"a": {}}', '{"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}', "\xff", '{"a": 3}'],
)
def test_a_header_that_is_none_is_refused(tmp_path: Path, header: str) -> None:
    text = header.encode("latin-1")
    (tmp_path / "a.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + bytes(4))
    with pytest.raises(DataError, match=r"a\.safetensors is not a safetensors file"):
        Stored([tmp_path / "a.safetensors"])


@pytest.mark.parametrize("offsets", [[4, 8], [0, 8], [-4, 0]])
def test_offsets_that_do_not_fit_are_refused(tmp_path: Path, offsets: list[int]) -> None:
    text = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": offsets}}).encode()
    (tmp_path / "a.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + bytes(4))
    with pytest.raises(DataError, match=r"a\.safetensors"):
        Stored([tmp_path / "a.safetensors"])


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has no weights: expected model\.safetensors or model\.safetensors\.index"):
        weight_files(tmp_path)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text('{"weight_map": {"a": "model-1.safetensors"}}')
    with pytest.raises(UsageError, match=r"lacks model-1\.safetensors, which model\.safetensors\.index\.json names"):
        weight_files(tmp_path)
    index.write_text("[]")
    with pytest.raises(DataError, match="is not an index of weights"):
        weight_files(tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("5GB", 5_000_000_000), ("1.5 mb", 1_500_000), ("2GiB", 2**31), ("700", 700), ("3KB", 3000)],
)
def test_sizes_are_read(text: str, expected: int) -> None:
    assert size_of(text) == expected


@pytest.mark.parametrize("text", ["", "five GB", "5 TB", "-1GB", "0GB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a size; give a number with KB, MB or GB, for example 5GB"):
        size_of(text)
