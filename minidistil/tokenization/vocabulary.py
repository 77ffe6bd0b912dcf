"""Tokens and ids: the half of the tokenizer that looks things up.

    token <--convert--> id, ids --decode--> text, special and added tokens

Not here: cutting texts into tokens (`tokenizer.py`), learning a vocabulary (`trainer.py`).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, normalizers

from minidistil.tokenization.backend import build_backend, copy_backend
from minidistil.tokenization.saved import SETTINGS, SPECIAL_TOKENS, SavedTokenizer, check_setting
from minidistil.tokenization.serialization import EXTRA_SPECIAL_TOKENS

# What English puts no space before or around, for `clean_up_tokenization_spaces`.
JOINED = (" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're")


class Vocabulary:
    """Base of `DistilBertTokenizer`, which documents the arguments."""

    def __init__(
        self,
        saved: SavedTokenizer,
        do_lower_case: bool,
        strip_accents: bool | None,
        tokenize_chinese_chars: bool,
        clean_up_tokenization_spaces: bool,
        special_tokens: Iterable[str],
    ):
        self.do_lower_case = do_lower_case
        self.strip_accents = strip_accents
        self.tokenize_chinese_chars = tokenize_chinese_chars
        self.clean_up_tokenization_spaces = clean_up_tokenization_spaces
        # In the order of SPECIAL_TOKENS.
        self.unk_token, self.sep_token, self.pad_token, self.cls_token, self.mask_token = (
            special_tokens
        )
        for name, value in self._settings.items():
            check_setting(name, value)
        self._backend = build_backend(
            saved,
            normalizers.BertNormalizer(
                clean_text=True,
                handle_chinese_chars=tokenize_chinese_chars,
                strip_accents=strip_accents,
                lowercase=do_lower_case,
            ),
            self._named_special_tokens(),
        )

    @property
    def _settings(self) -> dict[str, Any]:
        """Arguments of the class, as they are saved."""
        return {name: getattr(self, name) for name in SETTINGS}

    def private_backend(self) -> Tokenizer:
        """A backend for one call to set truncation and padding in."""
        return copy_backend(self._backend)

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        """Special tokens around a text (2) or a pair (3)."""
        return self._backend.num_special_tokens_to_add(pair)

    def __len__(self) -> int:
        """Number of tokens, added ones included: the rows that a model's embedding needs."""
        return self._backend.get_vocab_size(with_added_tokens=True)

    @property
    def vocab_size(self) -> int:
        """Number of tokens without added ones."""
        return self._backend.get_vocab_size(with_added_tokens=False)

    def get_vocab(self) -> dict[str, int]:
        """Token to id, added tokens included."""
        return self._backend.get_vocab(with_added_tokens=True)

    def add_tokens(
        self,
        new_tokens: str | AddedToken | Sequence[str | AddedToken],
        special_tokens: bool = False,
    ) -> int:
        """Add tokens that are never split, behind the vocabulary.

        The model's embedding does not grow by itself: `model.resize_token_embeddings(len(self))`.

        Args:
            new_tokens: One token or several.
            special_tokens: Treat them like [CLS]: matched before normalisation, and left out by
                `decode(skip_special_tokens=True)`.

        Returns:
            How many of them were no added tokens before; `len` grows by those that are not in the
            vocabulary either.
        """
        tokens = [new_tokens] if isinstance(new_tokens, str | AddedToken) else list(new_tokens)
        add = self._backend.add_special_tokens if special_tokens else self._backend.add_tokens
        return add(tokens)

    def add_special_tokens(self, special_tokens: Mapping[str, Sequence[str | AddedToken]]) -> int:
        """Add special tokens beyond the five.

        Args:
            special_tokens: `{"additional_special_tokens": [...]}`.

        Returns:
            As `add_tokens`.

        Raises:
            ValueError: Another key; the five themselves are arguments of the class.
        """
        unknown = set(special_tokens) - set(EXTRA_SPECIAL_TOKENS)
        if unknown:
            raise ValueError(
                f"{sorted(unknown)} can't be set here; use additional_special_tokens, or give "
                f"{', '.join(SPECIAL_TOKENS)} when the tokenizer is made"
            )
        return sum(self.add_tokens(tokens, True) for tokens in special_tokens.values())

    def _named_special_tokens(self) -> list[str]:
        return [getattr(self, name) for name in SPECIAL_TOKENS]

    @property
    def all_special_tokens(self) -> list[str]:
        """The five special tokens, then the added ones."""
        added = sorted(self._backend.get_added_tokens_decoder().items())
        extra = [token.content for _, token in added if token.special]
        return list(dict.fromkeys(self._named_special_tokens() + extra))

    @property
    def all_special_ids(self) -> list[int]:
        """Ids of `all_special_tokens`."""
        return [self._id(token) for token in self.all_special_tokens]

    @property
    def unk_token_id(self) -> int:
        """Id of the unknown token, which no tokenizer lacks."""
        return self._backend.model.token_to_id(self.unk_token)

    @property
    def sep_token_id(self) -> int:
        """Id of the token that ends a text."""
        return self._id(self.sep_token)

    @property
    def pad_token_id(self) -> int:
        """Id of the padding token."""
        return self._id(self.pad_token)

    @property
    def cls_token_id(self) -> int:
        """Id of the token that starts a row."""
        return self._id(self.cls_token)

    @property
    def mask_token_id(self) -> int:
        """Id of the token that hides a word."""
        return self._id(self.mask_token)

    def convert_tokens_to_ids(self, tokens: str | Iterable[str]) -> int | list[int]:
        """Id of a token, or ids of several; the unknown id for what is no token."""
        if isinstance(tokens, str):
            return self._id(tokens)
        return [self._id(token) for token in tokens]

    def _id(self, token: str) -> int:
        index = self._backend.token_to_id(token)
        return self.unk_token_id if index is None else index

    def convert_ids_to_tokens(self, ids: Any, skip_special_tokens: bool = False) -> str | list[str]:
        """Token of an id, or tokens of several.

        Raises:
            ValueError: An id stands for no token.
        """
        ids = _plain(ids)
        if isinstance(ids, int):
            return self._token(ids)
        skipped = set(self.all_special_ids) if skip_special_tokens else set()
        return [self._token(int(index)) for index in ids if int(index) not in skipped]

    def _token(self, index: int) -> str:
        token = self._backend.id_to_token(index) if index >= 0 else None
        if token is None:
            raise ValueError(f"the id {index} stands for none of the {len(self)} tokens")
        return token

    def decode(
        self,
        token_ids: Any,
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
    ) -> Any:
        """Text of ids: pieces joined, words separated by a space.

        What normalisation dropped (case, accents, the exact whitespace) does not come back.

        Args:
            token_ids: An id, a list, array or tensor of ids, or a batch of them.
            skip_special_tokens: Leave special tokens out.
            clean_up_tokenization_spaces: Close the gaps of `can ' t` and the like; None is the
                tokenizer's own setting.

        Returns:
            A string, or a list of strings for a batch.

        Raises:
            TypeError: Something is neither an id nor a list of ids.
            ValueError: An id stands for no token, such as the label -100.
        """
        ids = _plain(token_ids)
        if isinstance(ids, int):
            ids = [ids]
        if isinstance(ids, str) or not isinstance(ids, Iterable):
            raise TypeError(f"{ids!r} is neither an id nor a list of ids")
        ids = [_plain(index) for index in ids]
        if ids and not isinstance(ids[0], int):
            return self.batch_decode(ids, skip_special_tokens, clean_up_tokenization_spaces)
        for index in set(ids):
            self._token(index)
        text = self._backend.decode(ids, skip_special_tokens=skip_special_tokens)
        clean_up = clean_up_tokenization_spaces
        if self.clean_up_tokenization_spaces if clean_up is None else clean_up:
            for spaced in JOINED:
                text = text.replace(spaced, spaced.strip())
        return text

    def batch_decode(
        self,
        sequences: Iterable[Any],
        skip_special_tokens: bool = False,
        clean_up_tokenization_spaces: bool | None = None,
    ) -> list[str]:
        """Texts of a batch; see `decode`."""
        return [
            self.decode(ids, skip_special_tokens, clean_up_tokenization_spaces) for ids in sequences
        ]


def _plain(ids: Any) -> Any:
    """Ids of numpy or PyTorch as Python's."""
    return ids.tolist() if isinstance(ids, np.generic | np.ndarray | torch.Tensor) else ids
