"""The small model and the runner of the trainer's tests."""

from tests.trainer.conftest import model_folder, run

__all__ = ["model_folder", "run"]
