"""Text to numbers: `DistilBertTokenizer` to use, `BasicTokenizer` and `WordPiece` to read."""

from minidistil.tokenization.basic import BasicTokenizer
from minidistil.tokenization.tokenizer import DistilBertTokenizer, DistilBertTokenizerFast
from minidistil.tokenization.wordpiece import WordPiece, WordPieceTokenizer

__all__ = [
    "BasicTokenizer",
    "DistilBertTokenizer",
    "DistilBertTokenizerFast",
    "WordPiece",
    "WordPieceTokenizer",
]
