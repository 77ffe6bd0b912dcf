"""Learning a WordPiece vocabulary from text.

    text --normalise, split--> word counts --merge pieces--> vocabulary --> DistilBertTokenizer

Learning is not the tokenizer run backwards. The tokenizer matches *greedily*: the longest entry
first, from the left, knowing nothing of frequencies. Learning *merges*: it starts with every word
spelled in single characters (h ##u ##g), and again and again joins the pair of neighbours that is
most frequent in the corpus (##u ##g -> ##ug) into a new entry, until the vocabulary is full. So an
entry may be learned on the way to a longer one and hardly ever be used again, and the tokenizer may
cut a word at other places than learning did. Both use one vocabulary, and that is all.

Source: the merges are byte-pair encoding (Sennrich et al. 2016, arXiv 1508.07909), which is what
the `tokenizers` library runs under the name of WordPiece. The WordPiece of Schuster and Nakajima
(2012) scores a pair by the likelihood it adds, count(ab) / (count(a) count(b)); Google never
published the program that made BERT's vocabulary.

Not here: prefixes other than "##", which no DistilBERT checkpoint has.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import repeat

from tokenizers import Tokenizer, normalizers, pre_tokenizers, trainers
from tokenizers.models import WordPiece

from minidistil.tokenization.tokenizer import DistilBertTokenizer

SPECIAL_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
# A longer word is [UNK] to the tokenizer, so nothing is learned from it.
LONGEST_WORD = 100


def train_vocabulary(
    files_or_texts: Iterable[str | os.PathLike[str]],
    vocab_size: int = 30522,
    *,
    min_frequency: int = 2,
    limit_alphabet: int = 1000,
    do_lower_case: bool = True,
    strip_accents: bool | None = None,
    tokenize_chinese_chars: bool = True,
    show_progress: bool = False,
) -> DistilBertTokenizer:
    """Learn a vocabulary; the same text always gives the same one.

    The special tokens get the ids 0 to 4, in the order of `SPECIAL_TOKENS`; then come the
    characters, then what was merged, the most frequent first.

    Args:
        files_or_texts: Texts, or paths (`pathlib.Path`) of UTF-8 files; read once, never held.
        vocab_size: Size to reach; a small corpus ends below it.
        min_frequency: A pair that is seen less often is not merged.
        limit_alphabet: How many characters to keep, the most frequent ones.
        do_lower_case: As in `DistilBertTokenizer`, like the next two.
        strip_accents: Drop accents; None follows `do_lower_case`.
        tokenize_chinese_chars: Make every CJK ideograph a word.
        show_progress: Show a bar for each stage.

    Raises:
        TypeError: `files_or_texts` is a single string, or holds something else than texts.
        ValueError: There is no word in it, a file is not UTF-8, or `vocab_size` has no room for the
            characters.
    """
    if isinstance(files_or_texts, str | os.PathLike):
        raise TypeError(f"give a list of texts or paths, not the single {files_or_texts!r}")
    normalizer = normalizers.BertNormalizer(
        handle_chinese_chars=tokenize_chinese_chars,
        strip_accents=strip_accents,
        lowercase=do_lower_case,
    )
    words = _count_words(files_or_texts, normalizer)
    alphabet = _alphabet(words, limit_alphabet)
    # Without this list the library numbers the pieces in the order of a hash table, which differs
    # from run to run, and settles ties between equally frequent pairs by that number.
    inner = sorted({char for word in words for char in word[1:]} & alphabet)
    first = SPECIAL_TOKENS + sorted(alphabet) + [f"##{char}" for char in inner]
    if not words:
        raise ValueError("there is no word to learn from")
    if vocab_size < len(first):
        raise ValueError(
            f"vocab_size={vocab_size} is too small: {len(SPECIAL_TOKENS)} special tokens, "
            f"{len(alphabet)} characters and {len(inner)} characters with ## need {len(first)}; "
            "lower limit_alphabet to keep fewer characters"
        )
    learner = Tokenizer(WordPiece(unk_token=SPECIAL_TOKENS[1]))
    learner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    learner.train_from_iterator(
        _corpus(words),
        trainers.WordPieceTrainer(
            vocab_size=vocab_size,
            min_frequency=min_frequency,
            special_tokens=first,
            limit_alphabet=len(alphabet),
            initial_alphabet=sorted(alphabet),
            show_progress=show_progress,
        ),
    )
    return DistilBertTokenizer(
        learner.get_vocab(with_added_tokens=False),
        do_lower_case=do_lower_case,
        strip_accents=strip_accents,
        tokenize_chinese_chars=tokenize_chinese_chars,
    )


def _count_words(
    files_or_texts: Iterable[str | os.PathLike[str]], normalizer: normalizers.BertNormalizer
) -> Counter[str]:
    splitter = pre_tokenizers.BertPreTokenizer()
    words: Counter[str] = Counter()
    for text in _texts(files_or_texts):
        pieces = splitter.pre_tokenize_str(normalizer.normalize_str(text))
        words.update(word for word, _ in pieces if len(word) <= LONGEST_WORD)
    return words


def _texts(files_or_texts: Iterable[str | os.PathLike[str]]) -> Iterator[str]:
    for item in files_or_texts:
        if isinstance(item, str):
            yield item
        elif isinstance(item, os.PathLike):
            try:
                with open(item, encoding="utf-8") as file:
                    yield from file
            except UnicodeDecodeError as error:
                # Not its place: that counts from wherever the decoder's buffer began.
                byte = error.object[error.start]
                raise ValueError(f"{item} is not UTF-8: it holds the byte 0x{byte:02x}") from error
        else:
            raise TypeError(f"{item!r} is neither a text nor the path of a file")


def _alphabet(words: Counter[str], limit: int) -> set[str]:
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for char in word:
            counts[char] += count
    return set(sorted(counts, key=lambda char: (-counts[char], char))[:limit])


def _corpus(words: Counter[str]) -> Iterator[str]:
    # The library counts words itself; a word is repeated in portions of bounded size.
    for word, count in sorted(words.items()):
        for start in range(0, count, 1000):
            yield " ".join(repeat(word, min(1000, count - start)))
