"""DistilBertConfig: every number that fixes the shape and the behaviour of a model.

Field names and the config.json on disk are Hugging Face's, so files go both ways.

Not here: how a file is found (`checkpoints/hub.py`), training settings, generation settings.

Source: Sanh et al. 2019, arXiv 1910.01108, and transformers' DistilBertConfig.
"""

import copy
import dataclasses
import os
from collections.abc import Collection, Hashable
from dataclasses import dataclass, field
from typing import Any, Self

from minidistil.aliases import ALIASES, accept_aliases, alias, numbered_labels
from minidistil.arguments import plain
from minidistil.checkpoints.files import read_json, staged, write_json
from minidistil.checkpoints.hub import resolve_file

ACTIVATIONS = ("gelu", "relu", "silu", "swish", "gelu_new", "gelu_pytorch_tanh")
DTYPES = ("float32", "float16", "bfloat16", "float64")
PROBLEM_TYPES = ("regression", "single_label_classification", "multi_label_classification")
UNSAVED = ("attn_implementation", "layer_ops", "extra")  # no fields of a config.json
_POSITIVE = ("vocab_size", "max_position_embeddings", "n_layers", "n_heads", "dim", "hidden_dim")
_PROBABILITIES = ("dropout", "attention_dropout", "qa_dropout", "seq_classif_dropout")


def _integer_keys(values: Any) -> Any:
    """Undo what JSON does to integer keys; what is no dictionary is `validate`'s to refuse."""
    if not isinstance(values, dict):
        return values
    return {int(k) if str(k).isdecimal() else k: value for k, value in values.items()}


@accept_aliases
@dataclass
class DistilBertConfig:
    """The shape and behaviour of a DistilBERT.

    `hidden_size`, `num_attention_heads` and `num_hidden_layers` are other names of `dim`,
    `n_heads` and `n_layers`, everywhere. `num_labels` is a view of `id2label`; the constructor
    takes either.

    Attributes:
        vocab_size: Rows of the word embedding, V.
        max_position_embeddings: Rows of the position embedding: the longest input, in tokens.
        sinusoidal_pos_embds: Fixed sine and cosine positions instead of learned ones.
        n_layers: Transformer blocks, L.
        n_heads: Attention heads a block, H.
        dim: Width of the hidden states, D; a multiple of `n_heads`.
        hidden_dim: Width inside the feed-forward network, F.
        dropout: Probability, after the embeddings and the feed-forward network.
        attention_dropout: Probability, on the attention weights.
        activation: "gelu" (exact), "relu", "silu" ("swish"), "gelu_new" ("gelu_pytorch_tanh").
        initializer_range: Standard deviation of new weights.
        qa_dropout: Probability, before the question-answering head.
        seq_classif_dropout: Probability, before a sequence classifier.
        pad_token_id: The padding token; its word embedding starts at zero and gets no gradient.
        tie_word_embeddings: The masked-LM projector shares the word embedding's weight.
        chunk_size_feed_forward: Positions the feed-forward network takes at a time; 0 means all.
        output_hidden_states: Return every layer's hidden states, unless forward says otherwise.
        output_attentions: Return every layer's attention weights, unless forward says otherwise.
        return_dict: Return typed outputs (True) or plain tuples, unless forward says otherwise.
        id2label: The name of each label, from 0; its length is `num_labels`.
        label2id: The inverse; derived where None. Given without `id2label`, it defines that.
        problem_type: How a sequence classifier reads its labels; inferred from them where None.
        pruned_heads: Heads removed from each layer, numbered as before the pruning.
        architectures, dtype: Class names, and the dtype of the weights, as saved.
        attn_implementation, layer_ops: See `set_...`; this machine's choices, never on disk.
        extra: Fields of a config.json that DistilBERT does not know; kept and written back.

    Raises:
        ValueError: A field has a value that makes no model; names the field and the value.

    Examples:
        >>> config = DistilBertConfig(n_layers=3, num_labels=2)
        >>> config.hidden_size, config.id2label
        (768, {0: 'LABEL_0', 1: 'LABEL_1'})
        >>> DistilBertConfig(dim=100, n_heads=12)
        Traceback (most recent call last):
        ValueError: config.dim must be a multiple of n_heads=12, not 100
    """

    vocab_size: int = 30522
    max_position_embeddings: int = 512
    sinusoidal_pos_embds: bool = False
    n_layers: int = 6
    n_heads: int = 12
    dim: int = 768
    hidden_dim: int = 3072
    dropout: float = 0.1
    attention_dropout: float = 0.1
    activation: str = "gelu"
    initializer_range: float = 0.02
    qa_dropout: float = 0.1
    seq_classif_dropout: float = 0.2
    pad_token_id: int | None = 0
    tie_word_embeddings: bool = True
    chunk_size_feed_forward: int = 0
    output_hidden_states: bool = False
    output_attentions: bool = False
    return_dict: bool = True
    id2label: dict[int, str] = field(default_factory=lambda: {0: "LABEL_0", 1: "LABEL_1"})
    label2id: dict[str, int] | None = None
    problem_type: str | None = None
    pruned_heads: dict[int, list[int]] = field(default_factory=dict)
    architectures: list[str] | None = None
    dtype: str | None = None
    attn_implementation: Any = "sdpa"
    layer_ops: Any = "torch"
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.id2label = _integer_keys(self.id2label)
        self.pruned_heads = _integer_keys(self.pruned_heads)
        self.validate()
        self.pruned_heads = {i: sorted(set(heads)) for i, heads in self.pruned_heads.items()}
        if not self.label2id:
            self.label2id = {name: i for i, name in self.id2label.items()}

    hidden_size = alias("dim")
    num_attention_heads = alias("n_heads")
    num_hidden_layers = alias("n_layers")
    torch_dtype = alias("dtype")

    @property
    def num_labels(self) -> int:
        """The number of labels; assigning it renames them LABEL_0, LABEL_1, ..."""
        return len(self.id2label)

    @num_labels.setter
    def num_labels(self, count: int) -> None:
        if count != len(self.id2label):
            self.id2label = numbered_labels(count)
            self.label2id = {name: i for i, name in self.id2label.items()}

    def validate(self) -> None:
        """Check every field, and make Python's numbers of NumPy's, which JSON can't write.

        Raises:
            ValueError: Names the first field that is wrong, and its value.
        """

        def require(ok: bool, name: str, rule: str) -> None:
            if not ok:
                raise ValueError(f"config.{name} must be {rule}, not {getattr(self, name)!r}")

        for name in (f.name for f in dataclasses.fields(self)):
            setattr(self, name, plain(getattr(self, name)))
        for name in _POSITIVE:
            value = getattr(self, name)
            require(type(value) is int and value > 0, name, "a positive integer")
        for name in _PROBABILITIES:
            value = getattr(self, name)
            require(type(value) in (int, float) and 0 <= value <= 1, name, "between 0 and 1")
        for name in (f.name for f in dataclasses.fields(self) if f.type is bool):
            require(type(getattr(self, name)) is bool, name, "true or false")
        require(self.dim % self.n_heads == 0, "dim", f"a multiple of n_heads={self.n_heads}")
        require(self.activation in ACTIVATIONS, "activation", f"one of {ACTIVATIONS}")
        std = self.initializer_range
        require(type(std) in (int, float) and 0 <= std < 1e3, "initializer_range", "0 or more")
        pad, vocab = self.pad_token_id, self.vocab_size
        ok = pad is None or (type(pad) is int and 0 <= pad < vocab)
        require(ok, "pad_token_id", f"null or an id below vocab_size={vocab}")
        chunk = self.chunk_size_feed_forward
        require(type(chunk) is int and chunk >= 0, "chunk_size_feed_forward", "0 or more")
        for name, known in (("problem_type", PROBLEM_TYPES), ("dtype", DTYPES)):
            require(getattr(self, name) in (None, *known), name, f"null or one of {known}")
        classes = self.architectures
        ok = classes is None or (isinstance(classes, list) and {*map(type, classes)} <= {str})
        require(ok, "architectures", "null or a list of names")
        for name in ("id2label", "label2id", "pruned_heads", "extra"):
            value = getattr(self, name)
            ok = isinstance(value, dict) or (value is None and name == "label2id")
            require(ok, name, "a dictionary")
        # By their text: neither True nor 1.0 is the number of a label.
        ok = {*map(repr, self.id2label)} == {*map(repr, range(max(1, self.num_labels)))}
        ok = ok and all(isinstance(label, Hashable) for label in self.id2label.values())
        require(ok, "id2label", "a name for each of 0, 1, 2, ...")
        inverse = {repr((i, name)) for name, i in (self.label2id or {}).items()}
        ok = inverse <= {*map(repr, self.id2label.items())}
        ok = ok and len(inverse) in (0, len({*self.id2label.values()}))
        require(ok, "label2id", f"null or the inverse of id2label={self.id2label}")
        for layer, heads in self.pruned_heads.items():
            ok = isinstance(heads, Collection) and {*map(type, (layer, *heads))} == {int}
            ok = ok and layer in range(self.n_layers) and {*heads} < {*range(self.n_heads)}
            rule = f"layers below {self.n_layers}, heads below {self.n_heads}, not all of a layer"
            require(ok, "pruned_heads", rule)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Build from the fields of a config.json; unknown ones go to `extra`.

        Raises:
            ValueError: The file describes another kind of model, or a field is wrong.
        """
        names = {f.name for f in dataclasses.fields(cls)} - {*UNSAVED} | {*ALIASES, "num_labels"}
        # Nothing means "the default" (but for pad_token_id): other frameworks write empty fields.
        empty = {k for k in names - {"pad_token_id"} if values.get(k) in (None, "", [])}
        model_type = values.get("model_type") or "distilbert"
        if model_type != "distilbert":
            hint = "; see `minidistil convert`" if model_type == "bert" else ""
            raise ValueError(f"model_type is {model_type!r}, not 'distilbert'{hint}")
        if "dtype" not in empty:
            empty.add("torch_dtype")  # the older name of the two
        known = {k: v for k, v in values.items() if k in names - empty}
        # The first two are some machine's choice, and transformers refuses a file with them.
        dropped = {"attn_implementation", "_attn_implementation", "model_type"}
        extra = {k: v for k, v in values.items() if k not in names | dropped}
        return cls(**known, extra=extra)

    def to_dict(self) -> dict[str, Any]:
        """The fields as config.json holds them, with `model_type`."""
        names = [f.name for f in dataclasses.fields(self)]
        values = {name: copy.deepcopy(getattr(self, name)) for name in names if name not in UNSAVED}
        return copy.deepcopy(self.extra) | values | {"model_type": "distilbert"}

    @classmethod
    def from_pretrained(cls, name_or_path: str | os.PathLike[str], **where: Any) -> Self:
        """Read the config.json of a folder or hub repository; `where` as in `resolve_file`.

        Raises:
            FileNotFoundError: There is none.
            ValueError: It holds no config; names the file and the field.
        """
        path = resolve_file(name_or_path, "config.json", **where)
        if path is None:
            raise FileNotFoundError(f"{str(name_or_path)!r} has no config.json")
        values = read_json(path)
        try:
            return cls.from_dict(values)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{path}: {error}") from error

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write config.json into `folder`, atomically."""
        self.validate()
        with staged(folder) as scratch:
            write_json(scratch / "config.json", self.to_dict())
