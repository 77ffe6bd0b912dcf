"""What the tests of preparation share: a tokenizer, a corpus, files."""

import random

from minidistil.tokenization import DistilBertTokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["the", "king", "love", "##ly", "##ing", "東", "京", "é"]
CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,?!'-"
VOCAB = [*SPECIAL, *WORDS, *CHARACTERS, *(f"##{c}" for c in CHARACTERS)]
TOKENIZER = DistilBertTokenizer({token: index for index, token in enumerate(VOCAB)})
UNK, CLS, SEP = (VOCAB.index(token) for token in ("[UNK]", "[CLS]", "[SEP]"))


def rows(data):
    return [row.tolist() for row in data]


def files_of(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def text_file(tmp_path, lines, name="text.txt"):
    path = tmp_path / name
    path.write_bytes("\n".join(lines).encode())
    return path


def corpus(count, seed=0):
    """Lines of 0 to 60 words: some too short, some to be cut, some unknown."""
    draw = random.Random(seed)
    words = ["The", "King", "loves", "lovely", "songs", "東京", "ü", "(1843)", "Páris", "\t", "☃"]
    lines = [" ".join(draw.choices(words, k=draw.randrange(60))) for _ in range(count)]
    lines[5::10] = [" ".join(draw.choices("☃a", k=20)) for _ in lines[5::10]]
    return lines
