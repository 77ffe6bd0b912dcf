"""Other names for a config's fields and values: Hugging Face's, and `num_labels` for `id2label`.

`DistilBertConfig` takes them in its constructor and has them as properties, and a config.json may
hold them. Not here: the fields themselves (`config.py`).
"""

import functools
import operator
from typing import Any, TypeVar

from minidistil.arguments import whole

T = TypeVar("T")

ALIASES = {
    "hidden_size": "dim",
    "num_attention_heads": "n_heads",
    "num_hidden_layers": "n_layers",
    "torch_dtype": "dtype",
}


def alias(name: str) -> Any:
    """Make a property that reads and writes the field `name`."""
    get, doc = operator.attrgetter(name), f"Another name of `{name}`."
    return property(get, lambda self, value: setattr(self, name, value), doc=doc)


def accept_aliases(cls: type[T]) -> type[T]:
    """Let the constructor of a dataclass take the aliases and `num_labels` as well."""
    init = cls.__init__

    @functools.wraps(init)
    def __init__(self: Any, *args: Any, **values: Any) -> None:
        init(self, *args, **canonical_fields(values))

    cls.__init__ = __init__
    return cls


def canonical_fields(values: dict[str, Any]) -> dict[str, Any]:
    """Replace aliases by the fields they name, `num_labels` by an `id2label`, a dtype by its name.

    A `label2id` that comes without an `id2label` defines it.

    Raises:
        ValueError: Two names of one field with two values; both are named.
    """
    result: dict[str, Any] = {}
    for name, given in values.items():
        target = ALIASES.get(name, name)
        value = dtype_name(given) if target == "dtype" and given is not None else given
        if target in result and result[target] != value:
            raise ValueError(f"{name}={value!r} contradicts {target}={result[target]!r}")
        result[target] = value
    ids = result.get("label2id")
    if ids and isinstance(ids, dict):
        result.setdefault("id2label", {str(i): name for name, i in ids.items()})
    count = result.pop("num_labels", None)
    if count is not None:
        names = result.setdefault("id2label", numbered_labels(count))
        if isinstance(names, dict) and len(names) != count:
            raise ValueError(f"num_labels={count} contradicts id2label={names!r}")
    return result


def dtype_name(dtype: Any) -> str:
    """`"float16"`, of that name, of `"torch.float16"` and of the `torch.dtype` itself."""
    return str(dtype).removeprefix("torch.")


def numbered_labels(count: int) -> dict[int, str]:
    """Name `count` labels LABEL_0, LABEL_1, ...

    Raises:
        ValueError: `count` is no positive integer.
    """
    return {i: f"LABEL_{i}" for i in range(whole("num_labels", count, least=1))}
