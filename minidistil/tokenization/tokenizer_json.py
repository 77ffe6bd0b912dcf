"""tokenizer.json, the `tokenizers` library's whole state, read into a `SavedTokenizer`.

A DistilBERT tokenizer is a vocabulary, a few added tokens and a few settings, so only those are
taken and the rest is built anew; a file that says something else is refused instead of being read
half. Truncation and padding that were left switched on in a file therefore never come back.

Not here: the other files, which may change the settings (`serialization.py`).
"""

from pathlib import Path
from typing import Any

from minidistil.arguments import whole
from minidistil.checkpoints.files import read_json
from minidistil.tokenization.saved import SavedTokenizer, added_token, check_setting

# What is the same in every DistilBERT tokenizer, by its place in the file.
FIXED = {
    "model.type": "WordPiece",
    "model.continuing_subword_prefix": "##",
    "model.max_input_chars_per_word": 100,
    "normalizer.type": "BertNormalizer",
    "normalizer.clean_text": True,
    "pre_tokenizer.type": "BertPreTokenizer",
}
SETTINGS_ON_FILE = {
    "do_lower_case": "normalizer.lowercase",
    "strip_accents": "normalizer.strip_accents",
    "tokenize_chinese_chars": "normalizer.handle_chinese_chars",
    "unk_token": "model.unk_token",
}


def read_tokenizer_json(path: str | Path) -> SavedTokenizer:
    """Read a tokenizer.json.

    Raises:
        ValueError: The file is broken or is not a BERT-style WordPiece tokenizer; names the field.
    """
    state = read_json(path)
    try:
        return _read(state)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _read(state: dict[str, Any]) -> SavedTokenizer:
    model = _value(state, "model")
    # Older files don't name the type; among models only BPE and WordPiece have the prefix.
    if isinstance(model, dict) and "continuing_subword_prefix" in model and "merges" not in model:
        model.setdefault("type", "WordPiece")
    for place, wanted in FIXED.items():
        found = _value(state, place)
        if found != wanted:
            raise ValueError(f"no DistilBERT tokenizer: {place} is {found!r}, not {wanted!r}")
    vocab, added = _value(state, "model.vocab"), state.get("added_tokens", [])
    for place, value, kind in (("model.vocab", vocab, dict), ("added_tokens", added, list)):
        if not isinstance(value, kind):
            raise ValueError(f"{place} is {value!r:.60}, not a JSON {kind.__name__}")
    saved = SavedTokenizer(vocab)
    for number, entry in enumerate(added):
        token = added_token(entry, f"added_tokens[{number}]")
        saved.added[whole(f"added_tokens[{number}].id", entry.get("id"))] = token
    for name, place in SETTINGS_ON_FILE.items():
        value = _value(state, place)
        check_setting(name, value, place)
        saved.settings[name] = value
    ids = saved.vocab | {token.content: index for index, token in saved.added.items()}
    processor = _value(state, "post_processor")
    saved.settings["cls_token"], saved.settings["sep_token"] = _ends(processor, ids)
    return saved


def _value(state: dict[str, Any], place: str) -> Any:
    """What stands at a place such as "model.type"; None where there is no such place."""
    value: Any = state
    for name in place.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _ends(processor: Any, ids: dict[str, int]) -> tuple[str, str]:
    """The [CLS] and [SEP] that a post-processor sets, in either of the ways to write BERT's.

    Segments (`type_id`) are passed over: DistilBERT has none.
    """
    match processor:
        case {"type": "BertProcessing", "cls": [str(cls), cls_id], "sep": [str(sep), sep_id]}:
            if (cls_id, sep_id) == (ids.get(cls), ids.get(sep)):
                return cls, sep
        case {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": str(cls)}},
                {"Sequence": {"id": "A"}},
                {"SpecialToken": {"id": str(sep)}},
            ],
            "pair": [
                {"SpecialToken": {"id": first}},
                {"Sequence": {"id": "A"}},
                {"SpecialToken": {"id": second}},
                {"Sequence": {"id": "B"}},
                {"SpecialToken": {"id": third}},
            ],
            "special_tokens": dict(special),
        }:
            wanted = {t: {"id": t, "ids": [ids.get(t)], "tokens": [t]} for t in (cls, sep)}
            if (first, second, third) == (cls, sep, sep) and special | wanted == special:
                return cls, sep
    raise ValueError(
        f"no DistilBERT tokenizer: post_processor is {processor!r}, which is not "
        "[CLS] A [SEP] and [CLS] A [SEP] B [SEP] with the ids of the vocabulary"
    )
