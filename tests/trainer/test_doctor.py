"""What the doctor says, and that nothing broken keeps it from saying the rest."""

from __future__ import annotations

import json

import pytest

from phitrain.doctor import _verdict, doctor, doctor_lines
from phitrain.resolve import Hardware

from .conftest import Run


def test_the_command_says_what_runs_here(run: Run) -> None:
    done = run("-m", "phitrain", "doctor", "--format", "json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["precisions"]["fp32"] == "runs"
    assert found["attention"]["eager"] == "runs"
    assert set(found["verdict"]) >= {"by default", "full", "frozen-vision", "lora", "qlora"}
    assert all(found["disk"].values())
    text = "\n".join(doctor_lines(found))
    assert all(word in text for word in ("devices", "attention", "versions", "what trains here", "NCCL"))


def test_a_broken_library_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError("libcudart.so: cannot open shared object file")

    monkeypatch.setattr("phitrain.doctor._train_four_bit", broken)
    found = doctor()
    assert found["four_bit"] == "does not run: OSError: libcudart.so: cannot open shared object file"
    assert found["verdict"]["qlora"].startswith("no: 4 bit does not run")
    assert found["verdict"]["full"] == "yes"


def test_a_gpu_without_bf16_trains_in_fp16_with_sdpa() -> None:
    v100 = Hardware(name="Tesla V100-SXM2-32GB", cuda=True, bf16=False, flash=False)

    versions = dict.fromkeys(("torch", "transformers", "deepspeed", "peft", "bitsandbytes"), "1")
    words = _verdict({"versions": versions, "four_bit": "runs"}, v100)
    assert words["by default"] == "--precision fp16 --attention sdpa"
    assert "this GPU has no bf16" in words["because"]
    assert "use --precision fp16" in words["bf16"]
