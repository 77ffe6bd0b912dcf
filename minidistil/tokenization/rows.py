"""Rows of ids: texts encoded, laid out as columns, and padded afterwards.

    texts --encode--> one `tokenizers.Encoding` a text --columns--> BatchEncoding
    rows of different lengths, made one by one --collate--> BatchEncoding of one length

Not here: the keywords a user may write (`tokenizer.py`), what they mean (`lengths.py`).
"""

from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Any

from tokenizers import Encoding

from minidistil.tokenization.encoding import PADDED, BatchEncoding
from minidistil.tokenization.inputs import Texts
from minidistil.tokenization.lengths import LengthRule
from minidistil.tokenization.vocabulary import Vocabulary


def encode(
    vocabulary: Vocabulary, texts: Texts, rule: LengthRule, add_special_tokens: bool
) -> list[Encoding]:
    """Encode every text or pair under a rule.

    Raises:
        ValueError: A text can't be cut as asked.
    """
    backend = vocabulary.private_backend()
    pair = texts.seconds is not None
    special_tokens = vocabulary.num_special_tokens_to_add(pair) if add_special_tokens else 0
    split = texts.split_into_words
    if rule.truncation and rule.max_length < special_tokens:
        raise ValueError(f"max_length={rule.max_length} has no room for [CLS] and [SEP]")
    room = rule.max_length - vocabulary.num_special_tokens_to_add()
    if rule.truncation and rule.stride > room >= 0:
        raise ValueError(
            f"stride={rule.stride} must be less than the {room} tokens that max_length="
            f"{rule.max_length} leaves to a text"
        )
    if rule.needs_check:
        bare = [
            map(len, backend.encode_batch(part, split, False))
            for part in (texts.firsts, texts.seconds or [])
        ]
        seconds = repeat(None) if texts.seconds is None else bare[1]
        for first, second in zip(bare[0], seconds, strict=False):
            rule.check(first, second, special_tokens)
    rule.configure(backend, vocabulary.pad_token, vocabulary.pad_token_id)
    return backend.encode_batch(texts.joined(), split, add_special_tokens)


def arrange(
    samples: list[Encoding],
    *,
    attention_mask: bool,
    special_tokens_mask: bool,
    offset_mapping: bool,
    length: bool,
    overflowing: bool,
    batched: bool,
    return_tensors: str | None,
) -> BatchEncoding:
    """Lay encoded texts out as named columns, in transformers' order.

    Args:
        samples: An encoding for each text.
        attention_mask: Whether to give this column; so are the next three.
        special_tokens_mask: 1 for special tokens and padding.
        offset_mapping: Places of the tokens in their texts.
        length: Tokens of each row.
        overflowing: Parts that were cut off become rows too.
        batched: Keep the batch even around a single text.
        return_tensors: "pt", "np" or None.
    """
    parts = [[sample, *(sample.overflowing if overflowing else [])] for sample in samples]
    rows = [row for part in parts for row in part]
    columns: dict[str, list[Any]] = {"input_ids": [row.ids for row in rows]}
    if attention_mask:
        columns["attention_mask"] = [row.attention_mask for row in rows]
    if special_tokens_mask:
        columns["special_tokens_mask"] = [row.special_tokens_mask for row in rows]
    if offset_mapping:
        columns["offset_mapping"] = [row.offsets for row in rows]
    if length:
        columns["length"] = [len(row) for row in rows]
    if overflowing:
        columns["overflow_to_sample_mapping"] = [i for i, part in enumerate(parts) for _ in part]
    if not batched and return_tensors is None and not overflowing:
        # transformers leaves the length in its list.
        columns = {name: col if name == "length" else col[0] for name, col in columns.items()}
    return BatchEncoding(columns, rows, return_tensors)


def collate(
    encoded: Sequence[Mapping[str, Any]] | Mapping[str, Any],
    rule: LengthRule,
    pad_token_id: int,
    return_tensors: str | None,
) -> BatchEncoding:
    """Pad rows that were encoded one by one.

    Args:
        encoded: A mapping a row, or one mapping of names to rows; lists, arrays or tensors.
        rule: The padding.
        pad_token_id: Fills up `input_ids`.
        return_tensors: "pt", "np" or None.

    Raises:
        ValueError: There are no `input_ids`, a row lacks a name of the first row, or a column that
            is not padded here makes no tensor.
    """
    fillers = dict(zip(PADDED, (pad_token_id, 0, 1), strict=True))
    if isinstance(encoded, Mapping):
        columns = {name: [_to_list(row) for row in rows] for name, rows in encoded.items()}
    else:
        names = encoded[0].keys() if encoded else set()
        for index, row in enumerate(encoded):
            if lacking := names - row.keys():
                raise ValueError(f"row {index} has no {min(lacking)!r}, and row 0 has one")
        columns = {name: [_to_list(row[name]) for row in encoded] for name in names}
    if "input_ids" not in columns:
        raise ValueError(f"there are no input_ids to pad among {list(columns)}")
    lengths = [len(row) for row in columns["input_ids"]]
    columns.setdefault("attention_mask", [[1] * length for length in lengths])
    target = rule.padded_length(lengths)
    for name in fillers.keys() & columns.keys():
        filling = [[fillers[name]] * (target - length) for length in lengths]
        columns[name] = [
            row + fill if rule.padding_side == "right" else fill + row
            for row, fill in zip(columns[name], filling, strict=True)
        ]
    return BatchEncoding(columns, return_tensors=return_tensors)


def _to_list(row: Any) -> Any:
    return row if isinstance(row, list | int | float | str | None) else row.tolist()
