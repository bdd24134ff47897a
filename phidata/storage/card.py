"""`README.md` of a data folder: a data card, whose YAML tells the hub which files are which split."""

from __future__ import annotations

from phidata.storage.manifest import Manifest

_COLUMNS = """\
| column | |
|---|---|
| `id` | names the row, unique in the data set |
| `source` | where the row comes from |
| `conversations` | the turns in order, each with its `images`, what the `user` says, what the `assistant` answers, and all accepted `answers` where there are several |
| `metadata` | anything else, as {metadata} |
"""  # noqa: E501 - a table's row is one line


def data_card(manifest: Manifest) -> str:
    """The card's text, which depends on the manifest alone."""
    columns = _COLUMNS.format(metadata="a JSON object" if manifest.shape in _JSON_SHAPES else "JSON text")
    return f"{_front_matter(manifest)}# {manifest.name}\n\n{_OPENING[manifest.shape]}\n{columns}\n{_numbers(manifest)}"


_JSON_SHAPES = ("images-jsonl", "webdataset")
_OPENING = {
    "images-jsonl": (
        "Conversations about images, one JSON object a line in the jsonl files; image paths start in `images/`.\n"
    ),
    "arrow": "Conversations about images; `datasets.load_from_disk` opens this folder, images decode by themselves.\n",
    "parquet": "Conversations about images; `datasets.load_dataset` opens this folder, images decode by themselves.\n",
    "webdataset": (
        "Conversations about images, as WebDataset shards: of each row `<key>.json`, then its images in reading "
        "order, `<key>.0.jpg`, `<key>.1.jpg`, …\n"
    ),
}


def _front_matter(manifest: Manifest) -> str:
    """The splits that have rows: `load_dataset` fails for all where one has none."""
    splits = {split: ledger for split, ledger in manifest.splits.items() if ledger.written}
    if not splits:
        return ""
    lines = ["---", "configs:", "- config_name: default", "  data_files:"]
    for split, ledger in splits.items():
        lines += [f'  - split: "{split}"', "    path:"]  # YAML takes a bare `no` for false
        lines += [f"    - {file.name}" for file in ledger.files]
    return "\n".join([*lines, "---", "", ""])


def _numbers(manifest: Manifest) -> str:
    lines = ["| split | rows | files |", "|---|---:|---:|"]
    lines += [f"| {split} | {ledger.written} | {len(ledger.files)} |" for split, ledger in manifest.splits.items()]
    rows, images = manifest.rows, manifest.images
    lines += [
        "",
        f"{images.num} images, {images.bytes / 1e6:.1f} MB. Of {rows.rows_in} rows read, {rows.written} are written, "
        f"{rows.skipped} skipped and {rows.failed} failed; `ledger.jsonl` accounts for each.",
        "",
        f"Made by `phidata` {manifest.versions.get('phidata', '')} ({manifest.converter}). "
        "`phidata verify` checks the folder against `manifest.json`.",
    ]
    return "\n".join(lines) + "\n"
