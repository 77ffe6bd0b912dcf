"""From text to words, as an uncased BERT sees them.

Before WordPiece cuts words, text is cut into words. Case and accents are thrown away, so that the
vocabulary need not hold Cafe, cafe and café:

    NFD (é becomes e and an accent) -> drop category Mn (the accents) -> lower() -> split

A word ends at whitespace, and every punctuation mark is a word of its own. BERT has its own rule
for them: what Unicode calls punctuation (a category that starts with P), and every ASCII character
that is no letter, digit or space. To Unicode $ + < = > ^ | ~ and the backtick are symbols; to BERT
they are punctuation, unlike symbols outside ASCII, such as the euro sign, which stay in their word.

BERT also treats controls and Chinese characters apart. There are none here.

Arguments: text, a str. The result is a list of str.
Source: Devlin et al. 2018, arXiv 1810.04805 (its code); minidistil/tokenization/basic.py.
"""

import string
import unicodedata


def is_punctuation(char: str) -> bool:
    """Whether BERT calls the character punctuation."""
    # answer
    return char in string.punctuation or unicodedata.category(char).startswith("P")
    # end


def split(text: str) -> list[str]:
    """Words and punctuation marks in order, in lower case and without accents."""
    # answer
    apart = unicodedata.normalize("NFD", text)
    bare = "".join(char for char in apart if unicodedata.category(char) != "Mn").lower()
    spaced = "".join(f" {char} " if is_punctuation(char) else char for char in bare)
    return spaced.split()
    # end
