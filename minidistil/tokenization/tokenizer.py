"""The tokenizer that models are used with: text in, `input_ids` and `attention_mask` out.

    text --inputs.py--> texts --tokens, truncation, [CLS] [SEP], padding--> BatchEncoding --> model

The tokens are made by the `tokenizers` library in Rust; `basic.py` and `wordpiece.py` show what it
does, and a test holds the two together. Keywords and results are transformers' own.

The library's object can carry truncation and padding as settings. They stay switched off: every
call brings its own `LengthRule`, so that calls, and threads, can't change each other.

Not here: segment ids (`token_type_ids`; DistilBERT has no segments), chat templates.
"""

import os
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tokenizers import AddedToken

from minidistil.checkpoints.files import staged
from minidistil.checkpoints.hub import resolve_file
from minidistil.tokenization.encoding import BatchEncoding
from minidistil.tokenization.inputs import read_texts
from minidistil.tokenization.lengths import LengthRule
from minidistil.tokenization.rows import arrange, collate, encode
from minidistil.tokenization.serialization import read_saved, read_source, write_saved
from minidistil.tokenization.vocabulary import Vocabulary


class DistilBertTokenizer(Vocabulary):
    """WordPiece tokenizer of DistilBERT, cased or uncased.

    Args:
        vocab: Token to id, or the path of a vocab.txt.
        vocab_file: The path of a vocab.txt, under its older name.
        tokenizer_file: A tokenizer.json to take vocabulary and added tokens from, in place of
            `vocab`. Settings come from the arguments; `from_pretrained` takes those on file, too.
        do_lower_case: Lower-case the text; False for a cased vocabulary.
        strip_accents: Drop accents; None follows `do_lower_case`.
        tokenize_chinese_chars: Make every CJK ideograph a word.
        model_max_length: Longest row, in tokens, that the model takes.
        padding_side: "right" or "left".
        truncation_side: "right" or "left": where tokens are cut off.
        clean_up_tokenization_spaces: Default of `decode`.
        unk_token: Stands for a word that the vocabulary can't spell.
        sep_token: Ends every text.
        pad_token: Fills up short rows.
        cls_token: Starts every row.
        mask_token: Stands for a word to be guessed.
        added_tokens_decoder: Id to token of what was added to the vocabulary.

    Raises:
        ValueError: Not one vocabulary, it lacks `unk_token`, an added token has another id, or an
            argument has no such value.

    Examples:
        >>> vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "sand", "##castle", "##s", "a"]
        >>> tokenizer = DistilBertTokenizer({token: i for i, token in enumerate(vocab)})
        >>> tokenizer.tokenize("A sandcastles")
        ['a', 'sand', '##castle', '##s']
        >>> tokenizer(["a sand", "sandcastles"], padding=True).input_ids
        [[2, 8, 5, 3, 0], [2, 5, 6, 7, 3]]
    """

    def __init__(
        self,
        vocab: Mapping[str, int] | str | Path | None = None,
        vocab_file: str | Path | None = None,
        tokenizer_file: str | Path | None = None,
        do_lower_case: bool = True,
        strip_accents: bool | None = None,
        tokenize_chinese_chars: bool = True,
        model_max_length: int = 512,
        padding_side: str = "right",
        truncation_side: str = "right",
        clean_up_tokenization_spaces: bool = False,
        unk_token: str = "[UNK]",
        sep_token: str = "[SEP]",
        pad_token: str = "[PAD]",
        cls_token: str = "[CLS]",
        mask_token: str = "[MASK]",
        added_tokens_decoder: Mapping[int, AddedToken] | None = None,
    ):
        saved = read_source(vocab, vocab_file, tokenizer_file)
        saved.added.update(added_tokens_decoder or {})
        self.model_max_length = model_max_length
        self.padding_side = padding_side
        self.truncation_side = truncation_side
        super().__init__(
            saved,
            do_lower_case,
            strip_accents,
            tokenize_chinese_chars,
            clean_up_tokenization_spaces,
            (unk_token, sep_token, pad_token, cls_token, mask_token),
        )

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | os.PathLike[str],
        *,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
        **overrides: Any,
    ) -> "DistilBertTokenizer":
        """Load a checkpoint's tokenizer from a folder or a repository of the hub.

        The keywords up to `local_files_only` say where from, as for a model; `overrides` are
        arguments of the class that go before what is on file.

        Raises:
            FileNotFoundError: The checkpoint, or its vocabulary, does not exist.
            ValueError: A file is broken, or holds another kind of tokenizer.
        """
        where: dict[str, Any] = {"revision": revision, "cache_dir": cache_dir, "token": token}
        find = partial(resolve_file, name_or_path, local_files_only=local_files_only, **where)
        saved = read_saved(find, os.fspath(name_or_path))
        settings = {**saved.settings, **overrides}
        tokenizer = cls(saved.vocab, added_tokens_decoder=saved.added, **settings)
        tokenizer.add_tokens(saved.extra_special_tokens, special_tokens=True)
        return tokenizer

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write tokenizer.json, vocab.txt and tokenizer_config.json into `folder`, all or none."""
        with staged(Path(folder)) as scratch:
            write_saved(scratch, self._backend, self._settings, self.all_special_tokens)

    def __call__(
        self,
        text: Any,
        text_pair: Any = None,
        *,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        stride: int = 0,
        is_split_into_words: bool = False,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | None = None,
        return_attention_mask: bool | None = None,
        return_overflowing_tokens: bool = False,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
        return_length: bool = False,
    ) -> BatchEncoding:
        """Turn text into rows of ids.

        Args:
            text: A text, a batch of them, or a batch of (text, second text). A text is a string,
                or a list of words if `is_split_into_words`.
            text_pair: The second texts of pairs, in the form of `text`.
            add_special_tokens: Set [CLS] and [SEP].
            padding: True or "longest" pads to the longest row, "max_length" to `max_length`.
            truncation: True or "longest_first" cuts the longer text of a pair first, "only_first"
                and "only_second" cut that one. None cuts only if `max_length` is given.
            max_length: In tokens, special ones included; None is the model's.
            stride: Tokens that an overflowing part repeats from the part before.
            is_split_into_words: Texts are lists of words.
            pad_to_multiple_of: Round padded lengths up, which suits GPUs.
            padding_side: The tokenizer's own where None.
            return_tensors: "pt" or "np"; None gives lists, without the batch for a single text.
            return_attention_mask: 1 for a token, 0 for padding; False leaves it out.
            return_overflowing_tokens: What is cut off follows in rows of its own;
                `overflow_to_sample_mapping` tells the text of each row.
            return_special_tokens_mask: 1 for special tokens and padding.
            return_offsets_mapping: (start, end) of each token in its text, as `offset_mapping`.
            return_length: Tokens of each row, as `length`.

        Raises:
            TypeError: Something is no text.
            ValueError: A text can't be cut, or rows be a tensor, in the way that was asked for.
        """
        rule = LengthRule.read(
            padding=padding,
            truncation=truncation,
            max_length=max_length,
            stride=stride,
            pad_to_multiple_of=pad_to_multiple_of,
            padding_side=padding_side or self.padding_side,
            truncation_side=self.truncation_side,
            model_max_length=self.model_max_length,
        )
        texts = read_texts(text, text_pair, is_split_into_words)
        samples = encode(self, texts, rule, add_special_tokens)
        longest = max(map(len, samples), default=0)
        if max_length is None and longest > self.model_max_length:
            warnings.warn(
                f"a row has {longest} tokens, and the model takes {self.model_max_length}; "
                "pass truncation=True to cut it",
                stacklevel=2,
            )
        return arrange(
            samples,
            attention_mask=return_attention_mask is None or return_attention_mask,
            special_tokens_mask=return_special_tokens_mask,
            offset_mapping=return_offsets_mapping,
            length=return_length,
            overflowing=return_overflowing_tokens,
            batched=texts.batched,
            return_tensors=return_tensors,
        )

    def pad(
        self,
        encoded_inputs: Sequence[Mapping[str, Any]] | Mapping[str, Any],
        padding: bool | str = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | None = None,
    ) -> BatchEncoding:
        """Pad rows that were encoded one by one, as a DataLoader's `collate_fn` does.

        `encoded_inputs` is a mapping for each row, or one mapping of names to rows. Of its columns
        `input_ids`, `attention_mask` (made where missing) and `special_tokens_mask` are padded;
        others, such as labels, stay as they are. The rest is as in a call.
        """
        rule = LengthRule.read(
            padding=padding,
            truncation=False,
            max_length=max_length,
            pad_to_multiple_of=pad_to_multiple_of,
            padding_side=padding_side or self.padding_side,
            model_max_length=self.model_max_length,
        )
        return collate(encoded_inputs, rule, self.pad_token_id, return_tensors)

    def tokenize(
        self, text: str, pair: str | None = None, add_special_tokens: bool = False
    ) -> list[str]:
        """Tokens of one text or pair, as strings."""
        return self(text, pair, add_special_tokens=add_special_tokens).tokens()

    def encode(self, text: Any, text_pair: Any = None, **options: Any) -> Any:
        """The `input_ids` alone; `options` are the keywords of a call."""
        return self(text, text_pair, **options)["input_ids"]


# transformers 4 had one class in Python and one in Rust, and these are their names.
DistilBertTokenizerFast = DistilBertTokenizer
