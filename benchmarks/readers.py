"""How rows are read from one folder: by phidata in every shape, and by those that it is measured beside."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import datasets
import orjson
import webdataset
from PIL import Image

import phidata
from phidata.storage.shape import SHAPES


@dataclass(frozen=True, kw_only=True)
class Data:
    """An opened folder. `rows` and `row` give texts and paths, `pictures` decodes the pictures of row after row."""

    rows: Callable[[], Iterator[Any]]
    row: Callable[[int], Any] | None
    pictures: Callable[[], Iterator[Any]]


def candidates(folder: Path) -> dict[str, Callable[[], Data]]:
    """What opens the folders of `folder`, which has one of every shape with the split `train`."""
    found = {f"phidata, {shape}": phidata_data(folder / shape) for shape in SHAPES}
    found["plain jsonl + PIL"] = plain_data(folder / "images-jsonl", json.loads)
    found["the same with orjson"] = plain_data(folder / "images-jsonl", orjson.loads)
    found["datasets, arrow"] = datasets_data(folder / "arrow")
    found["webdataset"] = webdataset_data(folder / "webdataset")
    if energon := energon_data(folder / "webdataset"):
        found["energon"] = energon
    return found


def phidata_data(path: Path) -> Callable[[], Data]:
    def open_data() -> Data:
        data = phidata.load(path, split="train")
        return Data(
            rows=lambda: iter(data),
            row=data.__getitem__,
            pictures=lambda: (data.images(row) for row in range(len(data))),
        )

    return open_data


def plain_data(path: Path, parse: Callable[[bytes], Any]) -> Callable[[], Data]:
    """The lines of the file in memory, parsed when they are asked for."""

    def open_data() -> Data:
        [file] = path.glob("*_train.jsonl")
        with file.open("rb") as opened:
            lines = opened.readlines()
        return Data(
            rows=lambda: map(parse, lines),
            row=lambda number: parse(lines[number]),
            pictures=lambda: (
                [
                    Image.open(path / "images" / image).convert("RGB")
                    for turn in parse(line)["conversations"]
                    for image in turn["images"]
                ]
                for line in lines
            ),
        )

    return open_data


def datasets_data(path: Path) -> Callable[[], Data]:
    def open_data() -> Data:
        data = datasets.load_from_disk(str(path))["train"]
        turns = dict(data.features["conversations"].feature)
        turns["images"] = datasets.List(datasets.Image(decode=False))
        plain = data.cast_column("conversations", datasets.List(turns))
        return Data(
            rows=lambda: iter(plain),
            row=plain.__getitem__,
            pictures=lambda: (
                [image.convert("RGB") for turn in row["conversations"] for image in turn["images"]] for row in data
            ),
        )

    return open_data


def webdataset_data(path: Path) -> Callable[[], Data]:
    shards = sorted(map(str, path.glob("train-*.tar")))

    def open_data() -> Data:
        data = webdataset.WebDataset(shards, shardshuffle=False)
        texts = webdataset.WebDataset(shards, shardshuffle=False, select_files=lambda name: name.endswith(".json"))
        return Data(
            rows=lambda: (json.loads(sample["json"]) for sample in texts),
            row=None,
            pictures=lambda: (decoded(sample) for sample in data),
        )

    return open_data


def energon_data(path: Path) -> Callable[[], Data] | None:
    """None where it is not installed. It prepares an index beside the shards, once, which is not measured."""
    try:
        from megatron import energon
    except ImportError:
        return None
    from megatron.energon.epathlib import EPath
    from megatron.energon.flavors.webdataset.itar_reader import SqliteITarEntryReader
    from megatron.energon.flavors.webdataset.prepare import WebdatasetPreparator

    prepare_energon(path, WebdatasetPreparator)
    alone = energon.WorkerConfig(rank=0, world_size=1, num_workers=0)

    def stream(cook: Callable[[dict[str, Any]], Any]) -> Iterator[Any]:
        class Plain(energon.DefaultTaskEncoder):
            cookers = (energon.Cooker(energon.stateless(cook)),)
            decoder = None

        data = energon.get_val_dataset(
            str(path), split_part="train", worker_config=alone, batch_size=None, task_encoder=Plain()
        )
        return iter(energon.get_loader(data))

    def open_data() -> Data:
        reader = SqliteITarEntryReader(EPath(path), key_is_full_entryname=True)
        keys = [f"{key}.json" for key, _, _ in reader.list_all_samples()]
        return Data(
            rows=lambda: stream(lambda sample: json.loads(sample["json"])),
            row=lambda number: json.loads(reader[keys[number]][0]),
            pictures=lambda: stream(decoded),
        )

    return open_data


def prepare_energon(path: Path, preparator: Any) -> None:
    shards = sorted(shard.name for shard in path.glob("train-*.tar"))
    preparator.prepare_dataset(path, shards, split_parts_ratio=[("train", 1.0)], shuffle_seed=None, workers=1)
    kind = "__module__: megatron.energon\n__class__: CrudeWebdataset\n"
    (path / ".nv-meta" / "dataset.yaml").write_text(kind)


def decoded(sample: dict[str, Any]) -> list[Image.Image]:
    return [Image.open(BytesIO(sample[key])).convert("RGB") for key in sample if key.endswith("jpg")]
