"""The index on disk: what is embedded again, and when a file is not touched."""

import itertools

import numpy as np
import pytest
import safetensors.numpy
import torch

from minidistil import DistilBertModel
from minidistil.pipelines import pipeline
from minidistil.pipelines.index import FORMAT, VectorIndex, fingerprint
from minidistil.pipelines.search import Passage, Search
from tests.pipelines.checkpoints import TEXTS, save_checkpoint

PASSAGES = [Passage(text, "book", line) for line, text in enumerate(TEXTS, start=1)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_checkpoint(tmp_path_factory.mktemp("index"), DistilBertModel)


@pytest.fixture(scope="module")
def embed(folder):
    return pipeline("feature-extraction", folder)


def counted(embed, passages, path):
    search = Search(embed, passages, VectorIndex(path))
    return search, search.embedded


def test_index_embeds_what_is_new(embed, tmp_path):
    path = tmp_path / "index"
    first, embedded = counted(embed, PASSAGES, path)
    assert embedded == len(PASSAGES) and path.exists()
    again, embedded = counted(embed, PASSAGES, path)
    assert embedded == 0
    np.testing.assert_array_equal(first.vectors, again.vectors)
    changed = [*PASSAGES[1:], Passage("a new king", "book", 9), PASSAGES[2]]
    search, embedded = counted(embed, changed, path)
    assert embedded == 1
    for passage, vector in zip(changed, search.vectors, strict=True):
        np.testing.assert_allclose(vector, embed(passage.text), atol=1e-5)
    # What is no longer searched has gone from the file.
    assert counted(embed, PASSAGES, path)[1] == 1
    assert sorted(item.name for item in tmp_path.iterdir()) == ["index"]


def test_index_of_another_model_is_stale(embed, tmp_path):
    path = tmp_path / "index"
    counted(embed, PASSAGES, path)
    cls = pipeline("feature-extraction", embed.model, embed.tokenizer, pooling="cls")
    index = VectorIndex(path)
    search = Search(cls, PASSAGES, index)
    assert index.stale and search.embedded == len(PASSAGES)
    np.testing.assert_allclose(search.vectors, np.stack(cls(TEXTS)), atol=1e-6)
    weight = embed.model.embeddings.word_embeddings.weight
    index = VectorIndex(path)
    before = weight[9, 3].item()
    weight.data[9, 3] += 1
    Search(cls, PASSAGES, index)
    weight.data[9, 3] = before
    assert index.stale


@pytest.mark.parametrize("content", [b"a letter to keep", b"\x93NUMPY", b""])
def test_another_file_is_not_overwritten(embed, tmp_path, content):
    path = tmp_path / "letter.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="letter.txt is no index of vectors"):
        counted(embed, PASSAGES, path)
    assert path.read_bytes() == content


HASHES, VECTORS = np.zeros((2, 16), np.uint8), np.zeros((2, 48), np.float32)


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        {"hashes": HASHES},
        {"hashes": HASHES, "vectors": VECTORS[:1]},
        {"hashes": HASHES[:, :8], "vectors": VECTORS},
        {"hashes": HASHES.astype(np.int8), "vectors": VECTORS},
        {"hashes": HASHES[0, 0], "vectors": VECTORS},
        {"hashes": HASHES, "vectors": VECTORS[:, :47]},
        {"hashes": HASHES, "vectors": VECTORS[0]},
        {"hashes": HASHES, "vectors": VECTORS.astype(np.float64)},
        {"hashes": HASHES, "vectors": VECTORS + np.float32(np.nan)},
    ],
)
def test_a_damaged_index_is_not_believed(embed, tmp_path, tensors):
    path = tmp_path / "index"
    about = {"format": FORMAT, "model": fingerprint(embed)}
    arrays = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    safetensors.numpy.save_file(arrays, path, metadata=about)
    content = path.read_bytes()
    with pytest.raises(ValueError, match="index is no index of vectors, or damaged: "):
        counted(embed, PASSAGES, path)
    assert path.read_bytes() == content


def test_vectors_that_are_not_finite_are_not_kept(embed, folder, tmp_path):
    path = tmp_path / "index"
    counted(embed, PASSAGES[:1], path)
    content = path.read_bytes()
    model = DistilBertModel.from_pretrained(folder)
    with torch.no_grad():
        model.embeddings.LayerNorm.weight[3] = np.nan
    broken = pipeline("feature-extraction", model, tokenizer=embed.tokenizer)
    for name in (path, tmp_path / "new", None):
        with pytest.raises(ValueError, match=r"vector of '.*' is not finite: its weights"):
            counted(broken, PASSAGES, name)
    assert path.read_bytes() == content and not (tmp_path / "new").exists()


def test_ctrl_c_keeps_what_is_embedded(embed, tmp_path, monkeypatch):
    """A window of the pipeline is a batch of 2 times 16 rows here; the second is interrupted."""
    path = tmp_path / "index"
    counted(embed, PASSAGES[:1], path)
    many = [Passage(f"king {number}", "book", number) for number in range(50)]
    monkeypatch.setattr(embed, "batch_size", 2)
    monkeypatch.setattr(embed, "read", interrupt(embed.read, after=40))
    with pytest.raises(KeyboardInterrupt):
        counted(embed, many, path)
    monkeypatch.undo()
    # What the file held before is still there, too.
    assert counted(embed, [*PASSAGES[:1], *many], path)[1] == 50 - 32
    assert counted(embed, many, path)[1] == 0


def interrupt(function, after):
    calls = itertools.count(1)

    def wrapped(item):
        if next(calls) > after:
            raise KeyboardInterrupt
        return function(item)

    return wrapped
