"""What every model has: loading, saving, and how `call` takes and gives its values.

The twin of `minidistil/pretrained.py`; the work on files is done in `ports/weights.py`.
"""

import copy
import dataclasses
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, ClassVar

import keras

from minidistil.checkpoints.legacy import TORCH_NAMES
from minidistil.checkpoints.loading import warn_of
from minidistil.config import DTYPES, DistilBertConfig
from minidistil.ports.weights import Arrays, read_arrays, write_arrays
from minidistil.pretrained import DistilBertPreTrainedModel

POLICIES = (*DTYPES, "mixed_float16", "mixed_bfloat16")


class TFDistilBertPreTrainedModel(keras.Model):
    """Base of all models. A subclass makes its layers, then calls `build`.

    Attributes:
        config: The model's own copy of the config it was built from.
        torch_class: The PyTorch class of the same model.
    """

    torch_class: ClassVar[type[DistilBertPreTrainedModel]]

    def __init__(
        self, config: DistilBertConfig, *, dtype: Any = None, name: str | None = None
    ) -> None:
        """Make a model with new weights.

        Args:
            config: Its config.
            dtype: A dtype or policy of Keras, such as "mixed_bfloat16"; where None, the config's
                `dtype`, and where that is None too, Keras's own policy.
            name: Of the model, for Keras.

        Raises:
            ValueError: A field of the config is nonsense, or no such dtype.
        """
        config.validate()
        # Keras must not cast what it is given: a mask that is float32's smallest number, or labels.
        super().__init__(dtype=_policy(dtype or config.dtype), autocast=False, name=name)
        # Lists are, so that it is `check_tensors` that says what is wrong with them.
        self._allow_non_tensor_positional_args = True
        self.config = copy.deepcopy(config)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the model; a mapping as the first argument is one of inputs by their names."""
        if args and isinstance(args[0], Mapping):
            args, kwargs = args[1:], {**args[0], **kwargs}
        return super().__call__(*args, **kwargs)

    def returned(self, output: Any, return_dict: bool | None) -> Any:
        """A result as the caller, or else the config, wants it: typed, or as a tuple."""
        typed = self.config.return_dict if return_dict is None else return_dict
        return output if typed else output.to_tuple()

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | os.PathLike[str],
        *,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
        dtype: Any = None,
        ignore_mismatched_sizes: bool = False,
        output_loading_info: bool = False,
        **config_fields: Any,
    ) -> Any:
        """Load a checkpoint of the PyTorch class.

        Args:
            name_or_path: A folder, `"user/name"` or `"user/name@revision"`.
            revision: Branch, tag or commit on the hub.
            cache_dir: Download cache, if not huggingface_hub's own.
            token: Hub token, for private repositories.
            local_files_only: Read the cache, never the network.
            dtype: A dtype or policy of Keras; None or "auto" keeps the checkpoint's dtype, whatever
                Keras's global policy, which is of new models. To train in half precision,
                "mixed_bfloat16": weights that are bfloat16 themselves never move, because 0.999, of
                Keras's Adam, is 1 there.
            ignore_mismatched_sizes: Initialise a weight whose shape differs, instead of an error.
            output_loading_info: Return the model and the names of its `missing_keys`,
                `unexpected_keys` and `mismatched_keys`, instead of a warning about them.
            **config_fields: Fields of the config to change, such as `num_labels=3`.

        Raises:
            FileNotFoundError: No such folder, repository, or file in it.
            ValueError: A broken file, another architecture, shapes that do not fit, no such dtype,
                or an implementation of attention or layers that is PyTorch's alone.
            TypeError: A keyword that is no field of the config.
        """
        if "device" in config_fields:
            raise TypeError("tensors go where TensorFlow puts them: use tf.device, not device=")
        for name, own in (("attn_implementation", "eager"), ("layer_ops", "torch")):
            given = config_fields.get(name) or own
            if given != own:
                raise ValueError(f"{name}={given!r} is for the PyTorch class: leave it out")
        policy = None if dtype in (None, "auto") else _policy(dtype)
        config, arrays, info = read_arrays(
            cls.torch_class,
            name_or_path,
            revision=revision,
            cache_dir=cache_dir,
            token=token,
            local_files_only=local_files_only,
            dtype=None if policy is None else policy.variable_dtype,
            ignore_mismatched_sizes=ignore_mismatched_sizes,
            **config_fields,
        )
        model = cls(config, dtype=policy)
        # What the checkpoint lacks stays as Keras drew it, after `keras.utils.set_random_seed`.
        assign_arrays(model, arrays, new=info["missing_keys"] + info["mismatched_keys"])
        if output_loading_info:
            return model, info
        warn_of(info, f"{cls.__name__} from {str(name_or_path)!r}")
        return model

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write config.json and model.safetensors, which PyTorch loads too, into `folder`."""
        config = dataclasses.replace(self.config, dtype=self.variable_dtype)
        write_arrays(self.torch_class, config, arrays_of(self), folder)

    def get_config(self) -> dict[str, Any]:
        """What `from_config` makes the same model of, with new weights."""
        return {
            "config": self.config.to_dict(),
            "dtype": self.dtype_policy.name,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """Make a model from what `get_config` returned."""
        fields = DistilBertConfig.from_dict(config["config"])
        return cls(fields, dtype=config["dtype"], name=config["name"])


def _policy(dtype: Any) -> keras.DTypePolicy:
    """The policy that a user names; of None, Keras's own."""
    name = dtype if isinstance(dtype, str) else keras.dtype_policies.get(dtype).name
    if name not in POLICIES:
        raise ValueError(f"{name!r} is not a dtype of models: choose one of {POLICIES}")
    return keras.dtype_policies.get(name)


def named_variables(model: TFDistilBertPreTrainedModel) -> dict[str, keras.Variable]:
    """The weights of a model by the names of PyTorch's state dict; a tied one has its first."""
    named: dict[str, keras.Variable] = {}

    def visit(layer: keras.Layer, prefix: str) -> None:
        for name, value in vars(layer).items():
            several = isinstance(value, list)
            for i, inner in enumerate(value if several else [value]):
                if isinstance(inner, keras.Layer) and not name.startswith("_"):
                    visit(inner, f"{prefix}{name}.{i}." if several else f"{prefix}{name}.")
        # Those of the layers below have their names by now; what is left is the layer's own.
        known = {id(variable) for variable in named.values()}
        for variable in layer.weights:
            if id(variable) not in known:
                own = str(variable.name)
                named[prefix + TORCH_NAMES.get(own, own)] = variable

    visit(model, "")
    return named


def arrays_of(model: TFDistilBertPreTrainedModel) -> Arrays:
    """The weights of a model, as `write_arrays` takes them."""
    return {name: variable.numpy() for name, variable in named_variables(model).items()}


def assign_arrays(
    model: TFDistilBertPreTrainedModel, arrays: Arrays, new: Collection[str] = ()
) -> None:
    """Make arrays, as `read_arrays` returns them, the weights of a model; not those in `new`."""
    for name, variable in named_variables(model).items():
        if name not in new:
            variable.assign(arrays[name])
