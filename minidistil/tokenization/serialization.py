"""The files of a saved tokenizer: what is read from them, what is written.

    tokenizer.json, vocab.txt, tokenizer_config.json, ... --read--> SavedTokenizer
    --DistilBertTokenizer--> --write--> tokenizer.json, vocab.txt, tokenizer_config.json

Not here: what a tokenizer.json holds (`tokenizer_json.py`), finding or downloading a checkpoint's
files (`checkpoints/hub.py`).
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer

from minidistil.arguments import whole
from minidistil.checkpoints.files import read_json, write_json
from minidistil.tokenization.saved import (
    ADDED_TOKEN_FLAGS,
    SETTINGS,
    SPECIAL_TOKENS,
    SavedTokenizer,
    added_token,
    check_setting,
    token_text,
)
from minidistil.tokenization.tokenizer_json import read_tokenizer_json

# Two names for one list: transformers 4 writes the first, transformers 5 the second.
EXTRA_SPECIAL_TOKENS = ("additional_special_tokens", "extra_special_tokens")


def read_saved(find: Callable[[str], Path | None], name: str) -> SavedTokenizer:
    """Read a checkpoint's tokenizer.

    Where files disagree tokenizer_config.json has the last word. As in transformers, one that
    lists the added tokens makes special_tokens_map.json and added_tokens.json obsolete: the savers
    of such a config may write neither, and then an older tokenizer's are still there.

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
    complete = "added_tokens_decoder" in config
    map_path = None if complete else find("special_tokens_map.json")
    if map_path is not None:
        _read_settings(map_path, read_json(map_path), saved)
    if config_path is not None:
        _read_settings(config_path, config, saved)
    added_path = None if complete else find("added_tokens.json")
    if added_path is not None:
        _read_added(added_path, saved)
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

    As in the `tokenizers` library, lines end at line feeds only, and blanks at their ends are no
    part of a token.

    Raises:
        ValueError: The file is not UTF-8 or holds no token.
    """
    try:
        with open(path, encoding="utf-8", newline="\n") as file:
            lines = [line.rstrip() for line in file]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no UTF-8 text: {error}") from error
    vocab = {token: index for index, token in enumerate(lines) if token}
    if not vocab:
        raise ValueError(f"{path} holds no token")
    return vocab


def _read_settings(path: Path, config: dict[str, Any], saved: SavedTokenizer) -> None:
    try:
        for name in SETTINGS:
            value = config.get(name)
            if value is not None or (name == "strip_accents" and name in config):
                value = token_text(value, name) if name in SPECIAL_TOKENS else value
                check_setting(name, value)
                saved.settings[name] = value
        named = [name for name in EXTRA_SPECIAL_TOKENS if name in config]
        if named:
            saved.extra_special_tokens = [t for name in named for t in _tokens(config[name], name)]
        decoder = config.get("added_tokens_decoder", {})
        if not isinstance(decoder, dict):
            raise ValueError(f"added_tokens_decoder is {decoder!r:.60}, not ids and their tokens")
        for index, token in decoder.items():
            if not (index.isascii() and index.isdecimal()):
                raise ValueError(f"added_tokens_decoder: {index!r} is no id")
            saved.added.setdefault(int(index), added_token(token, "added_tokens_decoder"))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _read_added(path: Path, saved: SavedTokenizer) -> None:
    """Read an added_tokens.json, token to id, which says nothing else of the tokens."""
    special = {saved.settings.get(name) for name in SPECIAL_TOKENS} | {*saved.extra_special_tokens}
    for token, index in read_json(path).items():
        text, is_special = token_text(token, str(path)), token in special
        added = AddedToken(text, normalized=not is_special, special=is_special)
        saved.added.setdefault(whole(f"{path}: {token!r}", index), added)


def _tokens(listed: Any, place: str) -> list[str]:
    # A list, or names to tokens, such as {"image_token": "<image>"}; null where there are none.
    if not isinstance(listed, list | dict | None):
        raise ValueError(f"{place} is {listed!r}, not a list of tokens")
    values = listed.values() if isinstance(listed, dict) else listed or []
    return [token_text(value, place) for value in values]


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
            str(index): {n: getattr(token, n) for n in ("content", *ADDED_TOKEN_FLAGS)}
            for index, token in sorted(backend.get_added_tokens_decoder().items())
        },
    }
    named = [settings[name] for name in SPECIAL_TOKENS]
    extra = [token for token in special_tokens if token not in named]
    if extra:
        config[EXTRA_SPECIAL_TOKENS[0]] = extra
    write_json(folder / "tokenizer_config.json", config)
