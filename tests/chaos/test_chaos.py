"""Killed at any moment, by kill -9, a conversion ends in the bytes of one that was left alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.killing import chains
from tests.conversion.conftest import SIX_CLIPS, write_source

KILLS = {"images-jsonl": 30, "parquet": 20, "webdataset": 5}


@pytest.mark.processes
@pytest.mark.parametrize("shape", KILLS)
def test_killed_at_seeded_moments_it_ends_in_the_same_bytes(tmp_path: Path, shape: str) -> None:
    source = write_source(tmp_path / "source", *SIX_CLIPS)
    (source / SIX_CLIPS[1]).write_bytes(b"no video")
    arguments = ["--from", "ucf101", "--source", str(source), "--num-frames", "1", "--max-failures", "1"]
    arguments += ["--jobs", "2", "--to", shape, *(["--shard-size", "4K"] if shape != "images-jsonl" else [])]
    kills = [kill for made in chains(arguments, tmp_path, seed=6, num_kills=KILLS[shape]) for kill in made.kills]
    assert len(kills) == KILLS[shape]
    assert {kill.role for kill in kills} == {"parent", "worker"}
