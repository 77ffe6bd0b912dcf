import copy
from typing import Any

import pytest

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
