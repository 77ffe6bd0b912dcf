import copy
from typing import Any

import pytest
import torch

from .test_tokenizer import OURS, THEIRS, plain


def test_pad() -> None:
    rows = [OURS("want low", return_special_tokens_mask=True), OURS("low")]
    rows = [{**row, "label": index} for index, row in enumerate(rows)]
    rows[1]["special_tokens_mask"] = [1, 0, 1]
    options: list[dict[str, Any]] = [
        {},
        {"padding_side": "left", "return_tensors": "pt"},
        {"pad_to_multiple_of": 8, "return_tensors": "np"},
        {"padding": "max_length", "max_length": 9},
    ]
    for keywords in options:
        wanted = plain(THEIRS.pad(copy.deepcopy(rows), **keywords))
        assert plain(OURS.pad(rows, **keywords)) == wanted
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        assert plain(OURS.pad(columns, **keywords)) == wanted
    with pytest.raises(ValueError, match=r"no input_ids to pad among \['label'\]"):
        OURS.pad([{"label": 1}])


@pytest.mark.parametrize("kind", ["pt", "np"])
def test_a_ragged_column_that_is_not_padded(kind: str) -> None:
    """padding=True would not help; transformers advises it all the same."""
    rows = [{**OURS("want low"), "labels": [1, 2]}, {**OURS("low"), "labels": [1]}]
    with pytest.raises(ValueError, match=r"'labels' have different lengths.*pad 'labels' before"):
        OURS.pad(rows, return_tensors=kind)
    assert OURS.pad(rows).labels == [[1, 2], [1]]
    with pytest.raises(ValueError, match=r"'input_ids' have different lengths.*padding=True"):
        OURS.pad(rows, padding=False, return_tensors=kind)


def test_a_column_that_only_some_rows_have() -> None:
    with pytest.raises(ValueError, match="row 1 has no 'labels', and row 0 has one"):
        OURS.pad([{"input_ids": [1], "labels": 0}, {"input_ids": [1]}])


def test_a_column_of_fractions_keeps_them() -> None:
    rows = [{"input_ids": [1], "labels": 0.75}, {"input_ids": [1], "labels": 2.0}]
    labels = OURS.pad(rows, return_tensors="pt").labels
    assert labels.dtype == torch.float32 and labels.tolist() == [0.75, 2.0]


def test_a_column_of_texts_makes_no_tensor() -> None:
    rows = [{"input_ids": [1], "text": "12"}]
    assert OURS.pad(rows).text == ["12"]
    with pytest.raises(ValueError, match="the rows of 'text' hold what is no number"):
        OURS.pad(rows, return_tensors="pt")
