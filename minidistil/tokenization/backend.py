"""The `tokenizers` library's object behind a tokenizer: built once, copied for every call.

Normalizer and pre-tokenizer are `basic.py`, the model is `wordpiece.py`, in Rust; the
post-processor sets [CLS] and [SEP].

Not here: truncation and padding, which a call switches on in its copy (`lengths.py`).
"""

from collections.abc import Sequence

from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.processors import TemplateProcessing

from minidistil.tokenization.saved import SavedTokenizer


def build_backend(
    saved: SavedTokenizer, normalizer: BertNormalizer, special_tokens: Sequence[str]
) -> Tokenizer:
    """Build the library's tokenizer.

    Args:
        saved: Vocabulary and added tokens.
        normalizer: Settings of the first steps.
        special_tokens: In the order of `SPECIAL_TOKENS`; those that the vocabulary lacks are added
            behind it, as in transformers.

    Raises:
        ValueError: The vocabulary lacks the unknown token, or an added token would get another id
            than it is saved with.
    """
    unk, sep, _, cls, _ = special_tokens
    if unk not in saved.vocab:
        raise ValueError(f"unk_token={unk!r} is not in the vocabulary")
    backend = Tokenizer(WordPiece(saved.vocab, unk_token=unk))
    backend.normalizer = normalizer
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece(prefix="##")
    for index, token in sorted(saved.added.items()):
        backend.add_tokens([token])
        if backend.token_to_id(token.content) != index:
            raise ValueError(
                f"the added token {token.content!r} is saved with id {index}, but the "
                f"vocabulary gives it {backend.token_to_id(token.content)}"
            )
    backend.add_special_tokens(list(special_tokens))
    backend.post_processor = TemplateProcessing(
        single=[cls, "$A", sep],
        pair=[cls, "$A", sep, "$B:1", f"{sep}:1"],
        special_tokens=[(token, backend.token_to_id(token)) for token in (cls, sep)],
    )
    return backend


def copy_backend(backend: Tokenizer) -> Tokenizer:
    """A second object over the same vocabulary, with truncation and padding off.

    All that costs memory is shared, so this takes some 40 microseconds.
    """
    copy = Tokenizer(backend.model)
    copy.normalizer = backend.normalizer
    copy.pre_tokenizer = backend.pre_tokenizer
    copy.post_processor = backend.post_processor
    copy.add_tokens([token for _, token in sorted(backend.get_added_tokens_decoder().items())])
    return copy
