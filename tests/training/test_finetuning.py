"""Every head learns a task that a rule decides; runs stop, resume, and keep the best epoch."""

import random
import shutil
import sys
from dataclasses import replace

import pytest
import torch

import minidistil
from minidistil import DistilBertConfig, DistilBertTokenizer
from minidistil.training import finetuning
from minidistil.training.evaluation import evaluate
from minidistil.training.examples import make_examples
from minidistil.training.finetuning import Tuning, class_weights, finetune
from minidistil.training.log import read_log
from minidistil.training.records import ChoiceRecord, QuestionRecord, TagRecord, TextRecord
from minidistil.training.trainer import Trainer

WORDS = [f"w{i}" for i in range(12)]
TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "?", *WORDS]
TOKENIZER = DistilBertTokenizer({word: i for i, word in enumerate(TOKENS)})
FAST = Tuning(epochs=8, patience=8, batch_size=16, learning_rate=3e-3, max_length=24)


def words(rng: random.Random, count: int) -> list[str]:
    return [rng.choice(WORDS) for _ in range(count)]


def texts(rng, number, label_of):
    """Sentences with "good" or "bad" in a random place."""
    for _ in range(number):
        said, kind = words(rng, rng.randint(2, 8)), rng.choice(("good", "bad"))
        said.insert(rng.randint(0, len(said)), kind)
        yield TextRecord(" ".join(said), label=label_of(kind, said))


def single(rng, n):
    return [*texts(rng, n, lambda kind, said: kind)]


def several(rng, n):
    def labels(kind, said):
        return tuple(w for w in ("good", "bad", "w0") if w in said)

    return [*texts(rng, n, labels)]


def regression(rng, n):
    return [*texts(rng, n, lambda kind, said: 1.5 if kind == "good" else -0.5)]


def tags(rng, n):
    """w0 to w3 begin an entity."""
    made = []
    for _ in range(n):
        said = words(rng, rng.randint(2, 9))
        kinds = tuple("B-X" if w in WORDS[:4] else "O" for w in said)
        made.append(TagRecord(tuple(said), kinds))
    return made


def answers(rng, n):
    """The answer is the word after "good"."""
    made = []
    for number in range(n):
        said = words(rng, rng.randint(4, 9))
        place = rng.randint(0, len(said) - 2)
        said[place] = "good"
        start = len(" ".join(said[: place + 1])) + 1
        answer = ((said[place + 1], start),)
        made.append(QuestionRecord(str(number), "good ?", " ".join(said), answer))
    return made


def choices(rng, n):
    """The right choice holds "good"."""
    made = []
    for _ in range(n):
        right, ends = rng.randint(0, 1), [words(rng, 3) for _ in range(2)]
        ends[right].insert(rng.randint(0, 3), "good")
        ends[1 - right].insert(rng.randint(0, 3), "bad")
        texts = tuple(map(" ".join, ends))
        made.append(ChoiceRecord(" ".join(words(rng, 2)), texts, right))
    return made


TASKS = {
    # records, head, fields of the config, the score and what it reaches
    "single": (
        single, "SequenceClassification", {"id2label": {0: "bad", 1: "good"}}, "accuracy", 0.95,
    ),
    "several": (
        several, "SequenceClassification",
        {
            "id2label": {0: "bad", 1: "good", 2: "w0"},
            "problem_type": "multi_label_classification",
        },
        "f1_macro", 0.9,
    ),
    "regression": (
        regression, "SequenceClassification", {"num_labels": 1, "problem_type": "regression"},
        "pearson", 0.9,
    ),
    "tags": (tags, "TokenClassification", {"id2label": {0: "B-X", 1: "O"}}, "f1", 0.95),
    "answers": (answers, "QuestionAnswering", {}, "exact_match", 0.8),
    "choices": (choices, "MultipleChoice", {"num_labels": 1}, "accuracy", 0.9),
}  # fmt: skip


def model_of(task: str, layers: int = 2):
    _, head, fields, _, _ = TASKS[task]
    torch.manual_seed(0)
    config = DistilBertConfig(
        vocab_size=len(TOKENS), n_layers=layers, n_heads=2, dim=32, hidden_dim=64,
        max_position_embeddings=32, dropout=0.0, attention_dropout=0.0, initializer_range=0.1,
        seq_classif_dropout=0.0, **fields,
    )  # fmt: skip
    return getattr(minidistil, f"DistilBertFor{head}")(config)


def data_of(task: str, number: int = 320, seed: int = 3):
    return TASKS[task][0](random.Random(seed), number)


@pytest.mark.parametrize("task", TASKS)
def test_a_head_learns_its_task(task, tmp_path):
    name, bar = TASKS[task][3:]
    held_out = data_of(task, 60, seed=4)
    model = model_of(task)
    examples = make_examples(
        held_out, TOKENIZER, max_length=24, id2label=model.config.id2label,
        problem_type=model.config.problem_type or "single_label_classification",
    )  # fmt: skip
    before = evaluate(model, held_out, examples)
    scores = finetune(model, TOKENIZER, data_of(task), tmp_path, FAST, held_out=held_out)
    best = max(line[name] for line in scores)
    assert best >= bar > before[name], (before, scores)
    # What is on disk is the best epoch, and a checkpoint with its label map and tokenizer.
    loaded = type(model).from_pretrained(tmp_path)
    assert loaded.config.id2label == model.config.id2label
    again = evaluate(loaded, held_out, examples)
    assert any(again == {k: v for k, v in line.items() if k != "epoch"} for line in scores)
    assert again[name] == pytest.approx(best, abs=0.1)
    tokenizer = DistilBertTokenizer.from_pretrained(tmp_path)
    assert tokenizer("good w1").input_ids == TOKENIZER("good w1").input_ids


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path, monkeypatch):
    held_out, tuning = data_of("single", 40, seed=4), Tuning(**vars(FAST) | {"epochs": 3})
    whole = finetune(
        model_of("single"), TOKENIZER, data_of("single", 60), tmp_path / "a", tuning,
        held_out=held_out,
    )  # fmt: skip

    left = [1]  # the second epoch is trained, but not scored

    def once(*args):
        if not left:
            raise KeyboardInterrupt
        left.clear()
        return evaluate(*args)

    with monkeypatch.context() as patch:
        patch.setattr(finetuning, "evaluate", once)
        with pytest.raises(KeyboardInterrupt):
            finetune(
                model_of("single"), TOKENIZER, data_of("single", 60), tmp_path / "b", tuning,
                held_out=held_out,
            )  # fmt: skip
    assert len(read_log(tmp_path / "b" / "scores.jsonl")) == 1
    model = model_of("single")
    rest = finetune(
        model, TOKENIZER, data_of("single", 60), tmp_path / "b", tuning, held_out=held_out
    )
    assert rest == whole == read_log(tmp_path / "b" / "scores.jsonl")
    ours, theirs = (
        minidistil.DistilBertForSequenceClassification.from_pretrained(tmp_path / name)
        for name in "ab"
    )
    for (name, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert torch.equal(p, q), name


def test_it_stops_when_nothing_gets_better(tmp_path, monkeypatch):
    """Scores .5 .7 .6 .6: the second is best, and patience of 2 ends after the fourth of 9."""
    left = [0.5, 0.7, 0.6, 0.6, 0.9]
    monkeypatch.setattr(finetuning, "evaluate", lambda *args: {"accuracy": left.pop(0)})
    saved = []
    monkeypatch.setattr(Trainer, "save_student", lambda self: saved.append(len(left)))
    model = model_of("single")
    tuning = Tuning(**vars(FAST) | {"epochs": 9, "patience": 2})
    scores = finetune(
        model, TOKENIZER, data_of("single", 20), tmp_path, tuning, held_out=data_of("single", 5)
    )
    assert [line["accuracy"] for line in scores] == [0.5, 0.7, 0.6, 0.6] and saved == [4, 3]
    # Called again, it is done, and has kept nothing that only going on would need.
    (checkpoint,) = (tmp_path / "checkpoints").iterdir()
    assert not (checkpoint / "optimizer.safetensors").exists()
    again = (TOKENIZER, data_of("single", 20), tmp_path, tuning)
    assert finetune(model_of("single"), *again, held_out=data_of("single", 5)) == scores
    # Without its checkpoints it is another run, which has no scores yet.
    shutil.rmtree(tmp_path / "checkpoints")
    left[:] = [0.1, 0.1, 0.1]
    scores = finetune(model_of("single"), *again, held_out=data_of("single", 5))
    assert [line["accuracy"] for line in scores] == [0.1, 0.1, 0.1]


def test_without_held_out_records_the_last_epoch_is_saved(tmp_path):
    model = model_of("single")
    tuning = Tuning(**vars(FAST) | {"epochs": 2})
    assert finetune(model, TOKENIZER, data_of("single", 40), tmp_path, tuning) == []
    loaded = type(model).from_pretrained(tmp_path)
    for p, q in zip(loaded.parameters(), model.parameters(), strict=True):
        assert torch.equal(p, q)


def test_a_teacher_teaches_without_labels(tmp_path):
    """Unlabelled texts, a teacher that knows: the student learns what the labels would say."""
    teacher = model_of("single")
    finetune(teacher, TOKENIZER, data_of("single"), tmp_path / "teacher", FAST)
    silent = [TextRecord(record.text) for record in data_of("single", seed=5)]
    held_out = data_of("single", 60, seed=4)
    scores = finetune(
        model_of("single", layers=1), TOKENIZER, silent, tmp_path / "student", FAST,
        held_out=held_out, teacher=teacher,
    )  # fmt: skip
    assert max(line["accuracy"] for line in scores) > 0.9


def test_worked_example_of_class_weights():
    """Three of "good", one of "bad": 4 / (2 * 1) = 2 and 4 / (2 * 3) = 2/3."""
    records = [TextRecord("w1", label=label) for label in ("good", "good", "bad", "good")]
    names = {0: "bad", 1: "good", 2: "never"}
    examples = make_examples(records, TOKENIZER, max_length=8, id2label=names)
    torch.testing.assert_close(class_weights(examples, 2), torch.tensor([2.0, 2 / 3]))
    assert class_weights(examples, 3)[2] == 0
    questions = make_examples(data_of("answers", 3), TOKENIZER, max_length=24)
    with pytest.raises(ValueError, match="balanced=True weighs classes"):
        class_weights(questions, 2)


def test_other_labels_are_another_run(tmp_path):
    """Labels that were corrected must not be answered with the old model."""
    tuning, records = Tuning(**vars(FAST) | {"epochs": 1}), data_of("single", 8)
    finetune(model_of("single"), TOKENIZER, records, tmp_path, tuning)
    swap = {"good": "bad", "bad": "good"}
    other = [TextRecord(r.text, label=swap[r.label], place=r.place) for r in records]
    with pytest.raises(ValueError, match="was made with another data than this run has"):
        finetune(model_of("single"), TOKENIZER, other, tmp_path, tuning)
    # The same records from elsewhere are the same; another start or teacher is another run.
    moved = [TextRecord(r.text, label=r.label, place="there") for r in records]
    finetune(model_of("single"), TOKENIZER, moved, tmp_path, tuning)
    larger = model_of("single")
    with torch.no_grad():
        larger.encoder.embeddings.word_embeddings.weight.mul_(1.1)
    with pytest.raises(ValueError, match="was made with another start"):
        finetune(larger, TOKENIZER, records, tmp_path, tuning)
    with pytest.raises(ValueError, match="was made with another teacher"):
        finetune(model_of("single"), TOKENIZER, records, tmp_path, tuning, teacher=larger)


def test_errors_come_before_training(tmp_path):
    model = model_of("single")
    wrong = [TextRecord("w1", label="neutral", place="data.csv:7")]
    with pytest.raises(ValueError, match=r"data.csv:7: label 'neutral' is not in the label map"):
        finetune(model, TOKENIZER, wrong, tmp_path / "run", FAST)
    with pytest.raises(ValueError, match="learning_rate is -1"):
        finetune(
            model, TOKENIZER, data_of("single", 5), tmp_path / "run",
            Tuning(**vars(FAST) | {"learning_rate": -1}),
        )  # fmt: skip
    with pytest.raises(ValueError, match="there are no records"):
        finetune(model, TOKENIZER, [], tmp_path / "run", FAST)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("task", "package"), [("single", "torchmetrics"), ("tags", "seqeval")])
def test_a_missing_scorer_is_named_before_training(task, package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"{package}.metrics", raising=False)
    records = data_of(task, 8)
    with pytest.raises(ValueError, match=f"need {package}: pip install"):
        finetune(model_of(task), TOKENIZER, records, tmp_path, FAST, held_out=records)
    assert not [*tmp_path.iterdir()]
    finetune(model_of(task), TOKENIZER, records, tmp_path, replace(FAST, epochs=1))
