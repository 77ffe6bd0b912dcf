"""WordPiece: one word, the longest match first.

No vocabulary holds every word. WordPiece spells a rare word with frequent pieces, from the left:

    take the longest entry that the rest of the word starts with, and go on behind it

Behind the first piece an entry must carry ##, which is a part of its name: with swimm, ##er and ##s
in the vocabulary, swimmers gives swimm ##er ##s. There is no way back. Where no entry fits, the
whole word is [UNK], whatever was found before. So is a word of more than 100 characters, because
the time of the search grows with the square of the length.

Arguments: word, a str; vocab, a set of str. The result is a list of str, empty for an empty word.
Source: Wu et al. 2016, arXiv 1609.08144, section 4.1; minidistil/tokenization/wordpiece.py.
"""

LONGEST = 100


def wordpiece(word: str, vocab: set[str]) -> list[str]:
    """Cut a word into entries of the vocabulary."""
    pieces: list[str] = []
    start = 0
    # answer
    if len(word) > LONGEST:
        return ["[UNK]"]
    while start < len(word):
        prefix = "##" if start else ""
        for end in range(len(word), start, -1):
            if prefix + word[start:end] in vocab:
                break
        else:
            return ["[UNK]"]
        pieces.append(prefix + word[start:end])
        start = end
    # end
    return pieces
