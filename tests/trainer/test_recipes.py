"""The shipped recipes hold the published values; recipes build on one another."""

from __future__ import annotations

from pathlib import Path

import pytest

from phidata.errors import UsageError
from phitrain.config import config_from
from phitrain.recipes import Published, RecipeInfo, read_recipe, recipe_info, recipe_lines, recipes

ROOT = Path(__file__).parents[2]

# The tables of the published guide: strategy, precision, LoRA rank and alpha, learning rate, epochs, metric, score.
TABLES = {
    "docvqa-full-bf16": ("full", "bf16", None, 5e-6, 2, "anls", 83.65),
    "docvqa-full-fp16": ("full", "fp16", None, 5e-6, 2, "anls", 82.60),
    "docvqa-frozen-bf16": ("frozen-vision", "bf16", None, 1e-4, 2, "anls", 79.19),
    "docvqa-frozen-fp16": ("frozen-vision", "fp16", None, 1e-4, 2, "anls", 78.74),
    "docvqa-lora-bf16": ("lora", "bf16", (32, 16), 2e-4, 2, "anls", 82.46),
    "docvqa-lora-fp16": ("lora", "fp16", (32, 16), 2e-4, 2, "anls", 82.34),
    "docvqa-qlora-bf16": ("qlora", "bf16", (32, 16), 2e-4, 2, "anls", 81.85),
    "docvqa-qlora-fp16": ("qlora", "fp16", (32, 16), 2e-4, 2, "anls", 81.85),
    "hateful_memes-full-bf16": ("full", "bf16", None, 5e-5, 2, "accuracy", 86.4),
    "hateful_memes-full-fp16": ("full", "fp16", None, 5e-5, 2, "accuracy", 85.4),
    "hateful_memes-frozen-bf16": ("frozen-vision", "bf16", None, 1e-4, 3, "accuracy", 79.4),
    "hateful_memes-frozen-fp16": ("frozen-vision", "fp16", None, 1e-4, 3, "accuracy", 78.6),
    "hateful_memes-lora-bf16": ("lora", "bf16", (128, 256), 2e-4, 2, "accuracy", 86.6),
    "hateful_memes-lora-fp16": ("lora", "fp16", (128, 256), 2e-4, 2, "accuracy", 85.2),
    "hateful_memes-qlora-bf16": ("qlora", "bf16", (128, 256), 2e-4, 2, "accuracy", 84.0),
    "hateful_memes-qlora-fp16": ("qlora", "fp16", (128, 256), 2e-4, 2, "accuracy", 83.8),
    "nlvr2-full-bf16": ("full", "bf16", None, 1e-5, 3, "accuracy", 89.40),
    "nlvr2-frozen-bf16": ("frozen-vision", "bf16", None, 2e-5, 2, "accuracy", 89.20),
}


def test_every_row_of_the_published_tables_has_a_recipe() -> None:
    found = {}
    for name in TABLES:
        config, published = config_from(read_recipe(name)), recipe_info(name).published
        assert published is not None
        assert published.metric == config.eval.metrics[0]
        part = config.strategy
        lora = (part.lora_rank, part.lora_rank * part.lora_alpha_ratio) if "lora" in part.kind else None
        found[name] = (
            part.kind, config.model.precision, lora, config.optimizer.learning_rate, config.train.num_train_epochs,
            published.metric, published.score,
        )  # fmt: skip
    assert found == TABLES
    assert recipes() == sorted([*TABLES, "docvqa", "hateful_memes", "nlvr2", "ucf101"])


def test_what_the_published_scripts_fix_holds_in_every_recipe() -> None:
    for name in recipes():
        config = config_from(read_recipe(name))
        optimizer = config.as_dict()["optimizer"]
        del optimizer["learning_rate"]
        assert optimizer == {
            "vision_learning_rate": None,
            "projector_learning_rate": None,
            "schedule": "linear",
            "betas": (0.9, 0.95),
            "eps": 1e-7,
            "weight_decay": 0.01,
            "max_grad_norm": 1.0,
            "warmup_steps": 50,
        }
        size = (config.model.num_crops, config.train.batch_size, config.train.batch_size_per_gpu)
        assert size == ((4, 16, 1) if name == "ucf101" else (16, 64, 1))
        assert (config.train.zero, config.model.gradient_checkpointing, config.eval.max_new_tokens) == (2, "on", 64)
        chooses = (config.data.questions, config.data.answer)
        assert chooses == (("one", "random") if name.startswith("docvqa") else ("all", "first"))
        assert config.data.converter == name.partition("-")[0]


def test_a_task_by_its_name_alone_is_full_training_in_the_devices_best_precision() -> None:
    for name, rate in (("docvqa", 5e-6), ("hateful_memes", 5e-5), ("nlvr2", 1e-5), ("ucf101", 4e-5)):
        config = config_from(read_recipe(name))
        assert (config.strategy.kind, config.model.precision) == ("full", "auto")
        assert config.optimizer.learning_rate == rate


def test_the_list_says_what_each_recipe_is_and_aims_at() -> None:
    lines = recipe_lines()
    assert len(lines) == len(recipes())
    assert lines[6] == "docvqa-lora-fp16           DocVQA, LoRA, fp16                       anls 82.34"
    assert lines[-1] == "ucf101                     UCF-101 subset, all weights              no score published"


def test_the_documented_table_is_that_of_the_recipes() -> None:
    text = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    table = text.partition(f"{'|---' * 8}|\n")[2].partition("\n\n")[0]
    assert table.splitlines() == [_documented(name) for name in recipes()]


def _documented(name: str) -> str:
    config, info = config_from(read_recipe(name)), recipe_info(name)
    part = config.strategy
    lora = f"{part.lora_rank}, {part.lora_rank * part.lora_alpha_ratio:g}" if "lora" in part.kind else ""
    score = f"{info.published.metric} {info.published.score}" if info.published else "none"
    rate = f"{config.optimizer.learning_rate:.0e}".replace("e-0", "e-")
    model = config.model.name_or_path.removeprefix("microsoft/")
    cells = (part.kind, config.model.precision, lora, rate, config.train.num_train_epochs, model, score)
    return f"| `{name}` | {' | '.join(map(str, cells))} |"


def test_a_recipe_says_what_its_base_does_not(tmp_path: Path) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text('base = "docvqa-lora-fp16"\ntitle = "Ours"\n[strategy]\nlora_rank = 8\n[train]\nseed = 3\n')
    config = config_from(read_recipe(str(mine)))
    assert (config.strategy.kind, config.strategy.lora_rank, config.strategy.lora_alpha_ratio) == ("lora", 8, 0.5)
    assert (config.train.seed, config.train.batch_size, config.model.precision) == (3, 64, "fp16")
    assert recipe_info(str(mine)) == RecipeInfo(name=str(mine), title="Ours", published=None)


def test_a_base_is_found_from_its_recipes_folder_on(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "ours.toml").write_text("[train]\nseed = 1\nbatch_size = 2\n")
    (tmp_path / "deep" / "mine.toml").write_text('base = "../ours.toml"\n[train]\nseed = 2\n')
    assert read_recipe(str(tmp_path / "deep" / "mine.toml")) == {"train": {"seed": 2, "batch_size": 2}}


def test_a_recipe_that_is_its_own_base_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('base = "b.toml"\n')
    (tmp_path / "b.toml").write_text('base = "a.toml"\n')
    loop = " → ".join(str(tmp_path / name) for name in ("a.toml", "b.toml", "a.toml"))
    with pytest.raises(UsageError) as refused:
        read_recipe(str(tmp_path / "a.toml"))
    assert str(refused.value).endswith(f"a.toml is its own base ({loop}); change one `base`")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[train\n", r"mine\.toml is not TOML"),
        ("base = 3\n", r"base in \S+mine\.toml must be a recipe's name or the path of one, found 3"),
        ('base = "docvqb"\n', r"no recipe 'docvqb'; did you mean 'docvqa'\?; `phitrain recipes` lists them"),
        ('base = "other.toml"\n', r"no recipe file \S+other\.toml; give the path of a TOML file"),
    ],
)
def test_a_recipe_that_can_not_be_read_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(UsageError, match=message):
        read_recipe(str(tmp_path / "mine.toml"))


@pytest.mark.parametrize(
    ("published", "message"),
    [
        ('{ metric = "anls" }', "must have metric, score, source; found"),
        ('{ metric = "anls", score = "83", source = "x" }', "published.score in .* must be of type float, found '83'"),
    ],
)
def test_a_published_score_is_complete(tmp_path: Path, published: str, message: str) -> None:
    (tmp_path / "mine.toml").write_text(f"published = {published}\n")
    with pytest.raises(UsageError, match=message):
        recipe_info(str(tmp_path / "mine.toml"))


def test_a_published_score_names_its_row() -> None:
    source = "FineTuning_Vision.md, DocVQA (Phi-3-vision): QLoRA, fp16"
    assert recipe_info("docvqa-qlora-fp16").published == Published(metric="anls", score=81.85, source=source)


def test_a_name_that_is_no_recipe_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no recipe 'ucf10'; did you mean 'ucf101'\?"):
        read_recipe("ucf10")
    with pytest.raises(UsageError, match=r"no recipe '\.\./config'"):
        read_recipe("../config")
