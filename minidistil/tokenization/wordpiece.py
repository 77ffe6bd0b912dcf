"""The second half of BERT's tokenizer: words to subwords. Written to be read, not to be fast.

    text --basic.py--> words --greedy longest match--> tokens --vocabulary--> input_ids

A vocabulary of 30,522 entries can't hold every word, and need not: a rare word is written with
frequent pieces. Pieces inside a word carry the prefix "##", so "running" may become "runn ##ing",
and a token says by itself whether it starts a word.

Source: WordPiece (Wu et al. 2016, arXiv 1609.08144, section 4.1) as BERT applies it.

Not here: how the vocabulary was learned (`trainer.py`; it is not by running this algorithm
backwards), padding, truncation, speed (`tokenizer.py`).
"""

from typing import NamedTuple

from minidistil.tokenization.basic import BasicTokenizer


class Token(NamedTuple):
    """A token and its place in the original text.

    Attributes:
        text: The entry of the vocabulary, "##" included.
        id: Its number.
        start: Index of its first character in the original text.
        end: Index after its last character there.
    """

    text: str
    id: int
    start: int
    end: int


class WordPiece:
    """Cuts one word into entries of the vocabulary, the longest match first.

    Args:
        vocab: Token to id.
        unk_token: Stands for a word that the vocabulary can't spell.
        max_chars: A longer word is unknown; the search is quadratic in the length of the word.

    Raises:
        ValueError: `unk_token` is not in `vocab`.
    """

    def __init__(self, vocab: dict[str, int], unk_token: str = "[UNK]", max_chars: int = 100):
        if unk_token not in vocab:
            raise ValueError(f"the unknown token {unk_token!r} is not in the vocabulary")
        self.vocab = vocab
        self.unk_token = unk_token
        self.max_chars = max_chars

    def split(self, word: str) -> list[tuple[str, int, int]]:
        """Pieces of `word` as (entry of the vocabulary, start, end), indices into `word`.

        Greedy: take the longest entry that the rest of the word starts with, and go on behind it.
        There is no way back: where no entry fits, the whole word is unknown, even if a shorter
        piece before would have led to an end.
        """
        unknown = [(self.unk_token, 0, len(word))]
        if len(word) > self.max_chars:
            return unknown
        pieces = []
        start = 0
        while start < len(word):
            prefix = "##" if start > 0 else ""
            for end in range(len(word), start, -1):
                if prefix + word[start:end] in self.vocab:
                    break
            else:
                return unknown
            pieces.append((prefix + word[start:end], start, end))
            start = end
        return pieces


class WordPieceTokenizer:
    """Both halves together: text to tokens, each with its id and its place.

    Gives what `DistilBertTokenizer` gives before it adds [CLS] and [SEP], more slowly.

    Args:
        vocab: Token to id.
        basic: Splits text into words.
        unk_token: Stands for a word that the vocabulary can't spell.
    """

    def __init__(self, vocab: dict[str, int], basic: BasicTokenizer, unk_token: str = "[UNK]"):
        self.basic = basic
        self.wordpiece = WordPiece(vocab, unk_token)

    def tokenize(self, text: str) -> list[Token]:
        """Tokens of `text` in order."""
        tokens = []
        for word in self.basic.split(text):
            if word.text in self.basic.never_split:
                pieces = [(word.text, 0, len(word.text))]
            else:
                pieces = self.wordpiece.split(word.text)
            for piece, start, end in pieces:
                token_id = self.wordpiece.vocab[piece]
                tokens.append(Token(piece, token_id, *word.span(start, end)))
        return tokens

    def encode(self, text: str) -> list[int]:
        """Ids of the tokens of `text`."""
        return [token.id for token in self.tokenize(text)]
