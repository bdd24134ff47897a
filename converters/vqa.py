"""Questions about pictures with short answers, as the makers of the large sets publish them. One question of each:

    vqav2      {"question_id": 262148000, "image_id": 262148, "question": "Where is he looking?"} in "questions", and
               {"question_id": 262148000, "answers": [{"answer": "down"}, …]} in "annotations": https://visualqa.org,
               OK-VQA (https://okvqa.allenai.org) too
    textvqa    {"question_id": 0, "image_id": "0054c91397f2fe05", "question": …, "answers": ["nokia", …]} in "data"
    aokvqa     {"question_id": "22MexNkBPpdZGX6sxbxVBH", "image_id": 299207, "question": …, "direct_answers": [ten]}
    gqa        {"02930152": {"imageId": "n578564", "question": …, "answer": "no"}, …}
    scienceqa  {"1": {"question": …, "choices": ["…", "…"], "answer": 0, "hint": …, "image": "image.png", …}, …}
    visual_genome  {"id": 4, "qas": [{"qa_id": 987278, "question": …, "answer": "Sailboats."}, …]}

becomes one row: the question and "Answer briefly." on a line of its own, the most frequent answer, and as `answers` all
that were given, the frequent ones first. Of scienceqa the hint stands first, the choices after the question, and the
answer is a letter. Pictures lie anywhere in the source or in --images, under their makers' names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from phidata.conversion import About, Converter, Media, Option, Root, Row, Settings, Skip, Turn
from phidata.errors import DataError, UsageError
from phidata.sources import fields, files, questions, templates

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def vqav2(row: files.RecordRow) -> Iterator[questions.Asked]:
    (asked,) = questions.reader("answers", "image_id", digits=12)(row)
    place = re.search(r"(train|val|test)[a-z-]*(\d{4})", row.file)  # test-dev2015 asks about pictures of test2015
    yield asked._replace(
        images=(f"COCO_{place[1]}{place[2]}_{asked.images[0]}", *asked.images) if place else asked.images
    )


def scienceqa(row: files.RecordRow) -> Iterator[questions.Asked]:
    choices, answer = fields.texts(row.record, "choices", distinct=False), row.record.get("answer")
    if answer is not None and (type(answer) is not int or answer not in range(len(choices))):
        raise fields.unexpected(row.record, "answer", f"the number of one of {len(choices)} choices")
    if len(choices) > len(LETTERS):
        raise DataError(f"it has {len(choices)} choices, more than there are letters")
    lettered = [f"{LETTERS[k]}. {choice}" for k, choice in enumerate(choices)]
    hint = fields.text(row.record, "hint") if fields.present(row.record, "hint") else ""
    lines = [hint, fields.text(row.record, "question"), *lettered]
    names = (f"{row.record.get('split')}/{row.id}/{row.record['image']}",) if row.record.get("image") else ()
    yield questions.Asked(row.id, "\n".join(filter(None, lines)), () if answer is None else (LETTERS[answer],), names)


def visual_genome(row: files.RecordRow) -> Iterator[questions.Asked]:
    image = (f"{fields.name(row.record, 'id')}.jpg",)
    for record in fields.records(row.record, "qas"):
        yield questions.Asked(
            fields.name(record, "qa_id"), fields.text(record, "question"), questions.ranked(record, "answer"), image
        )


LAYOUTS = {
    "vqav2": files.JsonLayout(("question_id", "image_id", "question"), under="questions"),
    "textvqa": files.JsonLayout(("question_id", "image_id", "question"), under="data"),
    "aokvqa": files.JsonLayout(("question_id", "image_id", "choices")),
    "gqa": files.JsonLayout(("imageId", "question"), members=True),
    "scienceqa": files.JsonLayout(("question", "choices"), members=True),
    "visual_genome": files.JsonLayout(("id", "qas")),
}
READ: dict[str, questions.Read] = {
    "vqav2": vqav2,
    "textvqa": questions.reader("answers", "image_id"),
    "aokvqa": questions.reader("direct_answers", "image_id", digits=12),
    "gqa": questions.reader("answer", "imageId"),
    "scienceqa": scienceqa,
    "visual_genome": visual_genome,
}
LAYOUT = Option(name="layout", help="Which set it is, where several lie.", choices=tuple(LAYOUTS))
PROMPT = Option(name="prompt", help="What is asked; {question} stands for the set's question.", metavar="TEMPLATE")


class Vqa:
    """One row a question; questions without answers (of test splits) are skipped."""

    about = About(
        name="vqa",
        kind="questions about images",
        source="json of VQA v2, OK-VQA, TextVQA, A-OKVQA, GQA, ScienceQA or Visual Genome, with the images",
        options=(LAYOUT, PROMPT),
    )

    def rows(self, root: Root, settings: Settings) -> Iterator[Row | Skip]:
        name, listed = files.layout_of(root, LAYOUTS, settings["layout"])
        layout = LAYOUTS[name]
        prompt = (
            settings["prompt"] or f"{{question}}\nAnswer {'with the letter' if name == 'scienceqa' else 'briefly'}."
        )
        templates.check(prompt, ("question",), "--prompt")
        given: dict[str, list[str] | DataError] = {}
        if name == "vqav2":
            given, unclear = _annotations(root)
            yield from unclear
        finder = files.ImageFinder(root)
        records = files.record_rows(root, listed, id="question_id", under=layout.under, members=layout.members)
        if name == "scienceqa":  # whose one file has all splits
            records = iter(sorted(records, key=lambda row: files.split_rank(str(row.record.get("split")))))
        for row in records:
            answers = given.get(row.id) if row.id is not None else None
            if isinstance(answers, DataError):
                row = replace(row, problem=row.problem or str(answers))
            elif answers is not None:
                row = replace(row, record={**row.record, "answers": answers})
            yield from questions.rows(row, READ[name], finder, prompt)

    def convert(self, row: Row, media: Media) -> tuple[Turn, ...]:
        assert isinstance(row, questions.Question)
        return questions.turns(row, media)


def _annotations(root: Root) -> tuple[dict[str, list[str] | DataError], list[Row]]:
    """The answers in every file of VQA v2 or OK-VQA, by the question's id, none of a test split, or what is wrong with
    them; and as rows with a problem those that are of no question."""
    given: dict[str, list[str] | DataError] = {}
    unclear: list[Row] = []
    try:
        listed = files.with_keys(root, ("question_id", "answers"), ".json", under="annotations")
    except UsageError:
        return given, unclear
    for row in files.record_rows(root, listed, id="question_id", under="annotations"):
        if row.problem is not None or row.id is None:
            problem = f"these answers are of no question: {row.problem or 'it has no question_id'}"
            name = f"{row.split}/annotation-{len(unclear)}"
            unclear.append(Row(split=row.split, name=name, file=row.file, line=row.line, problem=problem))
            continue
        try:
            given[row.id] = list(questions.ranked(row.record, "answers"))
        except DataError as error:
            given[row.id] = DataError(f"{row.place}: {error}")
    return given, unclear


converter: Converter[Row] = Vqa()
