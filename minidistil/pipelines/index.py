"""Vectors on disk: a passage that was embedded once is not embedded again.

One safetensors file holds a hash of each text and its vector, and a hash of the model that made
them. A text that changed has another hash, so it is embedded anew; another model makes the whole
file worthless, and it starts empty. Nothing is unpickled.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy
from tqdm import tqdm

from minidistil.checkpoints.files import staged
from minidistil.checkpoints.weights import add_to_hash
from minidistil.pipelines.base import SHOW_PROGRESS_AFTER
from minidistil.pipelines.feature_extraction import FeatureExtraction

HASH_BYTES = 16
FORMAT = "minidistil vectors 1"


class VectorIndex:
    """Vectors of texts, in memory and perhaps in a file.

    Args:
        path: The file; it need not exist. None keeps nothing.

    Attributes:
        stale: Whether the file was made by another model, so that its vectors can't be used.

    Raises:
        ValueError: The file is something else; it will not be overwritten.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.stale = False

    def vectors_of(self, texts: Sequence[str], embed: FeatureExtraction) -> tuple[np.ndarray, int]:
        """Vectors (N, D) of texts, and how many of the texts the file did not know.

        The file then holds the vectors of these texts and of no others; after Ctrl-C those that it
        held and those that are new.

        Raises:
            ValueError: A vector is not finite; the file stays as it is.
        """
        model = fingerprint(embed)
        known = self._load(model, embed.model.config.dim)
        hashes = [_hash(text) for text in texts]
        new = {key: text for key, text in zip(hashes, texts, strict=True) if key not in known}
        unknown = sum(key in new for key in hashes)
        vectors = embed(iter(new.values()))
        bar = tqdm(vectors, total=len(new), disable=None, delay=SHOW_PROGRESS_AFTER)
        try:
            for (key, text), vector in zip(new.items(), bar, strict=True):
                if not np.isfinite(vector).all():
                    raise ValueError(
                        f"the model's vector of {text[:60]!r} is not finite: its weights are "
                        "broken, or too large for their dtype"
                    )
                known[key] = vector
        except KeyboardInterrupt:
            if self.path is not None and known:
                self._save(self.path, known, model)
            raise
        if self.path is not None and (new or len(known) > len(set(hashes))):
            self._save(self.path, {key: known[key] for key in hashes}, model)
        return np.stack([known[key] for key in hashes]), unknown

    def _load(self, model: str, dim: int) -> dict[bytes, np.ndarray]:
        if self.path is None or not self.path.exists():
            return {}
        try:
            with safetensors.safe_open(self.path, framework="np") as file:
                about = file.metadata() or {}
                if about.get("format") != FORMAT:
                    raise ValueError(f"{self.path} is no index of vectors: choose another file")
                self.stale = about.get("model") != model
                if self.stale:
                    return {}
                tensors = {name: file.get_slice(name) for name in ("hashes", "vectors")}
                kinds = [(part.get_dtype(), *part.get_shape()) for part in tensors.values()]
                count = kinds[0][1:2]
                if kinds != [("U8", *count, HASH_BYTES), ("F32", *count, dim)]:
                    raise ValueError(
                        f"{self.path} is no index of vectors, or damaged: it holds {kinds}, not "
                        f"hashes of {HASH_BYTES} bytes and as many float32 vectors of {dim}"
                    )
                keys, vectors = (file.get_tensor(name) for name in tensors)
        except safetensors.SafetensorError as error:
            raise ValueError(f"{self.path} is no index of vectors, or damaged: {error}") from error
        if not np.isfinite(vectors).all():
            raise ValueError(f"{self.path} is no index of vectors, or damaged: some are not finite")
        return {key.tobytes(): vector for key, vector in zip(keys, vectors, strict=True)}

    @staticmethod
    def _save(path: Path, known: dict[bytes, np.ndarray], model: str) -> None:
        keys = np.frombuffer(b"".join(known), np.uint8).reshape(-1, HASH_BYTES)
        with staged(path.parent) as scratch:
            safetensors.numpy.save_file(
                {"hashes": keys, "vectors": np.stack([*known.values()])},
                scratch / path.name,
                metadata={"format": FORMAT, "model": model},
            )


def fingerprint(embed: FeatureExtraction) -> str:
    """A hash of all that a vector hangs on besides its text: weights, tokenizer, settings."""
    tokenizer, config = embed.tokenizer, embed.model.config
    digest = hashlib.sha256()
    about = (
        sorted(tokenizer.get_vocab().items()),
        (tokenizer.do_lower_case, tokenizer.strip_accents, tokenizer.tokenize_chinese_chars),
        (config.n_heads, config.activation, embed.max_length, embed.settings),
    )
    digest.update(repr(about).encode())
    add_to_hash(digest, sorted(embed.model.encoder.state_dict().items()))
    return digest.hexdigest()


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=HASH_BYTES).digest()
