"""`phidata order` prints what a stream gives."""

from __future__ import annotations

import json

import pytest

import phidata
from phidata.cli import main

from .conftest import MakeFolder


def test_the_rows_of_a_batch_are_printed(make_folder: MakeFolder, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["order", str(make_folder(8)), "--step", "2", "--batch-size", "3"]) == 0
    assert capsys.readouterr().out == (
        "  position  rank              row  id\n"
        "         3     0 birds          8  birds-7\n"
        "         4     0 birds          2  birds-1\n"
        "         5     0 birds          5  birds-4\n"
    )


def test_json_says_what_a_rank_reads_of_a_mix(make_folder: MakeFolder, capsys: pytest.CaptureFixture[str]) -> None:
    folders = [str(make_folder(30)), str(make_folder(10, name="cats"))]
    command = ["order", *folders, "--step", "5", "--batch-size", "8", "--seed", "3", "--epoch", "1"]
    command += ["--mix", "birds=3", "--mix", "cats=1", "--world-size", "4", "--rank", "1", "--format", "json"]
    assert main(command) == 0
    found = json.loads(capsys.readouterr().out)
    rank = list(phidata.stream(folders, seed=3, epoch=1, mix={"birds": 3, "cats": 1}, rank=1, world_size=4))
    assert found == {
        "epoch": 1,
        "step": 5,
        "steps": 5,
        "samples": 40,
        "batch": [
            {
                "position": sample.position,
                "rank": 1,
                "source": sample.source,
                "row": sample.number + 1,
                "id": sample.row.id,
            }
            for sample in rank[8:10]
        ],
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--step", "4"], "an epoch has 3 steps of 3 samples, and no step 4"),
        (["--step", "1", "--mix", "birds"], "--mix birds has no weight; write it as NAME=0.7"),
        (["--step", "1", "--mix", "birds=much"], "--mix birds=much has no weight"),
        (["--step", "1", "--rank", "1"], "rank 1 is not one of the 1 ranks"),
    ],
)
def test_what_can_not_be_ordered_is_refused(
    make_folder: MakeFolder, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["order", str(make_folder(8)), "--batch-size", "3", *arguments]) == 2
    assert message in capsys.readouterr().err
