"""The hardware guide: its table is what the plan computes, its job files can be read."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def test_the_table_is_what_the_plan_computes() -> None:
    spec = importlib.util.spec_from_file_location("plan", ROOT / "benchmarks" / "plan.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = module.PAGE.read_text("utf-8")
    assert text.split(module.START)[1].split(module.END)[0] == module.table()


def test_the_job_files_can_be_read() -> None:
    cluster = ROOT / "examples" / "cluster"
    subprocess.run(["bash", "-n", str(cluster / "train.sbatch")], check=True)
    job = yaml.safe_load((cluster / "azureml-job.yml").read_text("utf-8"))
    assert job["distribution"] == {"type": "pytorch", "process_count_per_instance": 8}
    assert (cluster / "hostfile").read_text("utf-8") == "node-1 slots=8\nnode-2 slots=8\n"
