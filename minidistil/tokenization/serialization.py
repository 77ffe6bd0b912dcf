"""The files of a saved tokenizer: what is read from them, what is written.

    tokenizer.json, vocab.txt, tokenizer_config.json, ... --read--> SavedTokenizer
    --DistilBertTokenizer--> --write--> tokenizer.json, vocab.txt, tokenizer_config.json

tokenizer.json is the `tokenizers` library's whole state. A DistilBERT tokenizer is a vocabulary,
a few added tokens and a few settings, so only those are taken from it and the rest is built anew;
a file that says something else is refused instead of being read half. Truncation and padding that
were left switched on in a file therefore never come back.

Not here: finding or downloading a checkpoint's files (`checkpoints/hub.py`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer

from minidistil.checkpoints.files import read_json, write_json

SPECIAL_TOKENS = ("unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
SETTINGS = (
    "do_lower_case",
    "strip_accents",
    "tokenize_chinese_chars",
    "model_max_length",
    "padding_side",
    "truncation_side",
    "clean_up_tokenization_spaces",
    *SPECIAL_TOKENS,
)
# Two names for one list: transformers 4 writes the first, transformers 5 the second.
EXTRA_SPECIAL_TOKENS = ("additional_special_tokens", "extra_special_tokens")
ADDED_TOKEN_FIELDS = ("content", "lstrip", "normalized", "rstrip", "single_word", "special")


@dataclass
class SavedTokenizer:
    """What the files say.

    Attributes:
        vocab: Token to id, without added tokens.
        added: Id to added token, special tokens included.
        settings: Arguments of `DistilBertTokenizer`, those of `SETTINGS` that are on file.
        extra_special_tokens: Special tokens beyond the five of `SPECIAL_TOKENS`.
    """

    vocab: dict[str, int]
    added: dict[int, AddedToken] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    extra_special_tokens: list[str] = field(default_factory=list)


def read_saved(find: Callable[[str], Path | None], name: str) -> SavedTokenizer:
    """Read a checkpoint's tokenizer.

    Where files disagree tokenizer_config.json has the last word. As in transformers, one that
    lists the added tokens makes special_tokens_map.json obsolete: the savers of such a config may
    write no map, and then an older tokenizer's is still there.

    Args:
        find: Gives the path of a file by its name, None where the checkpoint lacks it.
        name: The checkpoint, for the error message.

    Raises:
        FileNotFoundError: There is neither tokenizer.json nor vocab.txt.
        ValueError: A file is broken, or holds another kind of tokenizer.
    """
    tokenizer_json, vocab_txt = find("tokenizer.json"), find("vocab.txt")
    if tokenizer_json is not None:
        saved = read_tokenizer_json(tokenizer_json)
    elif vocab_txt is not None:
        saved = SavedTokenizer(read_vocab(vocab_txt))
    else:
        raise FileNotFoundError(f"{name} has neither tokenizer.json nor vocab.txt")
    config_path = find("tokenizer_config.json")
    config = {} if config_path is None else read_json(config_path)
    map_path = find("special_tokens_map.json") if "added_tokens_decoder" not in config else None
    if map_path is not None:
        _read_settings(map_path, read_json(map_path), saved)
    if config_path is not None:
        _read_settings(config_path, config, saved)
    return saved


def read_source(
    vocab: Mapping[str, int] | str | Path | None,
    vocab_file: str | Path | None,
    tokenizer_file: str | Path | None,
) -> SavedTokenizer:
    """Read the one vocabulary that was given, of the three arguments that can bring it.

    Raises:
        ValueError: It was not exactly one.
    """
    given = [source for source in (vocab, vocab_file, tokenizer_file) if source is not None]
    if len(given) != 1:
        raise ValueError(f"give one of vocab, vocab_file and tokenizer_file, not {len(given)}")
    if isinstance(given[0], Mapping):
        return SavedTokenizer(dict(given[0]))
    if tokenizer_file is not None:
        return read_tokenizer_json(tokenizer_file)
    return SavedTokenizer(read_vocab(given[0]))


def read_vocab(path: str | Path) -> dict[str, int]:
    """Read a vocab.txt: one token a line, its id the number of the line, from 0.

    Raises:
        ValueError: The file is not UTF-8 or holds no token.
    """
    try:
        with open(path, encoding="utf-8") as file:
            lines = [line.rstrip("\n") for line in file]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no UTF-8 text: {error}") from error
    vocab = {token: index for index, token in enumerate(lines) if token}
    if not vocab:
        raise ValueError(f"{path} holds no token")
    return vocab


def read_tokenizer_json(path: str | Path) -> SavedTokenizer:
    """Read a tokenizer.json of the `tokenizers` library.

    Raises:
        ValueError: The file is broken or is not a BERT-style WordPiece tokenizer.
    """
    state = read_json(path)
    model = state.get("model") or {}
    # Older files don't name the type; among models only BPE and WordPiece have the prefix.
    untyped = (
        "WordPiece" if "continuing_subword_prefix" in model and "merges" not in model else None
    )
    kinds = {
        "model": (model.get("type", untyped), "WordPiece"),
        "word prefix": (model.get("continuing_subword_prefix", "##"), "##"),
        "normalizer": ((state.get("normalizer") or {}).get("type"), "BertNormalizer"),
        "pre_tokenizer": ((state.get("pre_tokenizer") or {}).get("type"), "BertPreTokenizer"),
    }
    for part, (found, wanted) in kinds.items():
        if found != wanted:
            raise ValueError(
                f"{path} is no DistilBERT tokenizer: its {part} is {found!r}, not {wanted!r}"
            )
    normalizer = state["normalizer"]
    settings = {
        "do_lower_case": normalizer["lowercase"],
        "strip_accents": normalizer["strip_accents"],
        "tokenize_chinese_chars": normalizer["handle_chinese_chars"],
        "unk_token": model["unk_token"],
    }
    added = {token.pop("id"): AddedToken(**token) for token in state.get("added_tokens", [])}
    return SavedTokenizer(model["vocab"], added, settings)


def _read_settings(path: Path, config: dict[str, Any], saved: SavedTokenizer) -> None:
    for name in SETTINGS:
        if config.get(name) is not None or (name == "strip_accents" and name in config):
            value = config[name]
            saved.settings[name] = (
                _token(value, f"{path}: {name}") if name in SPECIAL_TOKENS else value
            )
    named = [name for name in EXTRA_SPECIAL_TOKENS if name in config]
    if named:
        saved.extra_special_tokens = [
            token for name in named for token in _tokens(config[name], f"{path}: {name}")
        ]
    for index, token in config.get("added_tokens_decoder", {}).items():
        saved.added.setdefault(int(index), AddedToken(**token))


def _tokens(listed: Any, place: str) -> list[str]:
    # A list, or names to tokens, such as {"image_token": "<image>"}; null where there are none.
    if not isinstance(listed, list | dict | None):
        raise ValueError(f"{place} is {listed!r}, not a list of tokens")
    values = listed.values() if isinstance(listed, dict) else listed or []
    return [_token(value, place) for value in values]


def _token(value: Any, place: str) -> str:
    # Special tokens are written as strings or as all the fields of an AddedToken.
    token = value.get("content") if isinstance(value, dict) else value
    if not isinstance(token, str):
        raise ValueError(f"{place} holds {value!r}, which is no token")
    return token


def write_saved(
    folder: Path, backend: Tokenizer, settings: dict[str, Any], special_tokens: list[str]
) -> None:
    """Write the files that this library and transformers 4 and 5 load.

    vocab.txt, which numbers tokens by line, is left out where the ids of the vocabulary have gaps.

    Args:
        folder: Where to; exists.
        backend: State of the `tokenizers` library.
        settings: All of `SETTINGS`.
        special_tokens: All of them.
    """
    (folder / "tokenizer.json").write_text(backend.to_str(pretty=True), encoding="utf-8")
    vocab = backend.get_vocab(with_added_tokens=False)
    tokens = sorted(vocab, key=vocab.__getitem__)
    if vocab[tokens[-1]] == len(tokens) - 1:
        lines = "".join(f"{token}\n" for token in tokens)
        (folder / "vocab.txt").write_text(lines, encoding="utf-8", newline="\n")
    config = {
        **settings,
        "tokenizer_class": "DistilBertTokenizer",
        "added_tokens_decoder": {
            str(index): {name: getattr(token, name) for name in ADDED_TOKEN_FIELDS}
            for index, token in sorted(backend.get_added_tokens_decoder().items())
        },
    }
    named = [settings[name] for name in SPECIAL_TOKENS]
    extra = [token for token in special_tokens if token not in named]
    if extra:
        config[EXTRA_SPECIAL_TOKENS[0]] = extra
    write_json(folder / "tokenizer_config.json", config)
