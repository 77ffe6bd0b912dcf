"""What every flax model has: its config, loading and saving, and what is known of its weights.

Abstract: `model.py` and `heads/` inherit from it. Checkpoints go through the PyTorch class of the
same model (`ports/weights.py`); an array here and its tensor there are equal to the bit.

Not here: resizing, pruning, other attention implementations, `for_inference`. Do surgery on the
PyTorch model and save it; `pruned_heads` of its config are left out here as well.
"""

import copy
import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx

from minidistil.checkpoints.legacy import TORCH_NAMES
from minidistil.checkpoints.loading import PROJECTOR, warn_of
from minidistil.config import DistilBertConfig
from minidistil.outputs import ModelOutput
from minidistil.ports.flax.checks import check_rngs
from minidistil.ports.flax.embeddings import FixedPositions
from minidistil.ports.outputs import OUTPUTS
from minidistil.ports.weights import read_arrays, write_arrays
from minidistil.pretrained import DistilBertPreTrainedModel

if TYPE_CHECKING:
    from minidistil.ports.flax.model import FlaxDistilBertModel

Output = TypeVar("Output", bound=ModelOutput)

# So that compiled functions can return them, and jax.tree.map looks through them.
for _cls in OUTPUTS:
    jax.tree_util.register_dataclass(_cls, [f.name for f in dataclasses.fields(_cls)], [])


@dataclass
class _Static:
    """A config as a part of a model's structure, which JAX compares by value and hashes."""

    config: DistilBertConfig

    def __hash__(self) -> int:
        return hash(repr(self.config))


class FlaxDistilBertPreTrainedModel(nnx.Module):
    """Base of all flax models.

    Attributes:
        torch_class: The PyTorch class that reads and writes the checkpoints.
    """

    torch_class: ClassVar[type[DistilBertPreTrainedModel]]

    def __init__(self, config: DistilBertConfig, rngs: nnx.Rngs) -> None:
        config.validate()
        check_rngs(rngs)
        self._static = _Static(copy.deepcopy(config))

    @property
    def config(self) -> DistilBertConfig:
        """The model's own copy of the config it was built from.

        A compiled function has read it when it was compiled: change it before.
        """
        return self._static.config

    @property
    def encoder(self) -> "FlaxDistilBertModel":
        """The encoder below the head."""
        raise TypeError(f"{type(self).__name__} is abstract")

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | os.PathLike[str],
        *,
        rngs: nnx.Rngs | None = None,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
        dtype: Any = None,
        ignore_mismatched_sizes: bool = False,
        output_loading_info: bool = False,
        **config_fields: Any,
    ) -> Any:
        """Load a checkpoint of the PyTorch class or of transformers.

        Args:
            name_or_path: A folder, `"user/name"` or `"user/name@revision"`.
            rngs: Draws the weights that the checkpoint lacks, and dropout; `nnx.Rngs(0)` if None.
            revision: Branch, tag or commit on the hub.
            cache_dir: Download cache, if not huggingface_hub's own.
            token: Hub token, for private repositories.
            local_files_only: Read the cache, never the network.
            dtype: Of the loaded weights, such as "bfloat16" or `jnp.bfloat16`; None or "auto" keeps
                the checkpoint's.
            ignore_mismatched_sizes: Initialise a weight whose shape differs, instead of an error.
            output_loading_info: Return the model and the names, PyTorch's, of its `missing_keys`,
                `unexpected_keys` and `mismatched_keys`, instead of a warning about them.
            **config_fields: Fields of the config to change, such as `num_labels=3`.

        Raises:
            FileNotFoundError: No such folder, repository, or file in it.
            ValueError: A broken file, another architecture, shapes that do not fit, float64 weights
                while JAX has no float64, another `attn_implementation` than "eager", other
                `layer_ops` than "torch", or `rngs` without the streams.
            TypeError: A keyword that is no field of the config, or `rngs` that are none.
        """
        if "device" in config_fields:
            raise TypeError("arrays go where JAX puts them: use jax.default_device, not device=")
        # The one way of each that is written out here; nothing else is taken and then ignored.
        for name, own in {"attn_implementation": "eager", "layer_ops": "torch"}.items():
            if config_fields.get(name) not in (None, own):
                raise ValueError(f"{name}={config_fields[name]!r} is PyTorch's alone: leave it out")
        named = dtype is None or isinstance(dtype, str)
        rngs = nnx.Rngs(0) if rngs is None else rngs
        check_rngs(rngs)
        with torch.random.fork_rng(devices=[]):
            # The PyTorch class draws what the checkpoint lacks; the seed is of `rngs`.
            torch.manual_seed(int(jax.random.bits(rngs.params())))
            config, arrays, info = read_arrays(
                cls.torch_class,
                name_or_path,
                revision=revision,
                cache_dir=cache_dir,
                token=token,
                local_files_only=local_files_only,
                dtype=dtype if named else jnp.dtype(dtype).name,
                ignore_mismatched_sizes=ignore_mismatched_sizes,
                **config_fields,
            )
        # Of zeros: no weight is drawn only to be overwritten.
        blank = dataclasses.replace(config, initializer_range=0)
        model = cls(blank, rngs=rngs)  # pyright: ignore[reportCallIssue] (of every subclass)
        model.config.initializer_range = config.initializer_range
        for name, weight in model._weights().items():
            weight[...] = jnp.asarray(_turned(name, arrays[name]), weight.dtype)
        if output_loading_info:
            return model, info
        warn_of(info, f"{cls.__name__} from {str(name_or_path)!r}")
        return model

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write config.json and model.safetensors, which the PyTorch class and transformers load.

        Raises:
            ValueError: A field of the config was set to nonsense.
            NotADirectoryError: `folder` is a file.
        """
        config = dataclasses.replace(self.config, dtype=self.dtype.name)
        weights = self._weights().items()
        arrays = {name: _turned(name, np.array(weight[...])) for name, weight in weights}
        write_arrays(self.torch_class, config, arrays, folder)

    def _weights(self) -> dict[str, nnx.Variable]:
        """Every weight by the name that PyTorch's state dict has for it; a tied one once."""
        weights = {}
        for path, node in nnx.iter_graph(self):
            if isinstance(node, nnx.Param | FixedPositions):
                *module, kind = map(str, path)
                weights[".".join([*module, TORCH_NAMES.get(kind, kind)])] = node
        return weights

    def returned(self, output: Output, return_dict: bool | None) -> Output | tuple:
        """A result as the caller, or else the config, wants it: typed, or as a tuple."""
        typed = self.config.return_dict if return_dict is None else return_dict
        return output if typed else output.to_tuple()

    def num_parameters(self, only_trainable: bool = False) -> int:
        """The number of parameters; a tied weight counts once."""
        weights = self._weights().values()
        return sum(w.size for w in weights if isinstance(w, nnx.Param) or not only_trainable)

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the weights."""
        return self.encoder.embeddings.word_embeddings.embedding.dtype


def _turned(name: str, array: np.ndarray) -> np.ndarray:
    """The projector is (D, V) as a linear layer's matrix, but (V, D) here: it may be the table."""
    return array.T if name == PROJECTOR else array
