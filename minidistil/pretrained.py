"""What every DistilBERT model has: initialisation, loading and saving, resizing, pruning, switches.

Abstract: `model.py` and `heads/` inherit from it. The work behind `from_pretrained` and
`save_pretrained` is done in `checkpoints/`.
"""

import copy
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import nn

from minidistil.aliases import canonical_fields
from minidistil.config import DistilBertConfig
from minidistil.embeddings import set_sinusoidal_positions
from minidistil.initialisation import initialise_parameter
from minidistil.ops import AttentionImpl, LayerOps, resolve_attention, resolve_layer_ops
from minidistil.outputs import ModelOutput
from minidistil.resizing import prune_heads, resize_positions, resize_tokens

Output = TypeVar("Output", bound=ModelOutput)

if TYPE_CHECKING:
    from minidistil.model import DistilBertModel


class DistilBertPreTrainedModel(nn.Module):
    """Base of all models. A subclass builds its modules, then calls `initialise`.

    Attributes:
        config: The model's own copy of the config it was built from.
    """

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__()
        config.validate()
        implementation = config.attn_implementation
        resolve_attention(implementation)
        resolve_layer_ops(config.layer_ops)
        # A copy, so that surgery on this model leaves others of the same config alone. The
        # implementation stays itself: it may be an object with a state.
        self.config = copy.deepcopy(config, {id(implementation): implementation})

    @property
    def encoder(self) -> "DistilBertModel":
        """The encoder below the head."""
        raise TypeError(f"{type(self).__name__} is abstract")

    # -- Initialisation ------------------------------------------------------------------------

    def initialise(self) -> None:
        """Draw the weights of a new model; the encoder below a head has drawn its own."""
        drawn = set() if self.encoder is self else set(self.encoder.modules())
        for module in self.modules():
            if module in drawn:
                continue
            for name, _ in module.named_parameters(recurse=False):
                initialise_parameter(module, name, self.config.initializer_range)
        if self.config.sinusoidal_pos_embds and not drawn:
            set_sinusoidal_positions(self.get_position_embeddings())
        self.tie_weights()

    def tie_weights(self) -> None:
        """Let the masked-LM projector share the word embedding, where the config says so."""
        projector = self.get_output_embeddings()
        if projector is not None and self.config.tie_word_embeddings:
            projector.weight = self.get_input_embeddings().weight

    # -- Checkpoints ---------------------------------------------------------------------------

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | os.PathLike[str],
        *,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
        dtype: str | torch.dtype | None = None,
        torch_dtype: str | torch.dtype | None = None,
        device: str | torch.device = "cpu",
        attn_implementation: str | Callable[..., Any] | AttentionImpl | None = None,
        ignore_mismatched_sizes: bool = False,
        output_loading_info: bool = False,
        **config_fields: Any,
    ) -> Any:
        """Load a checkpoint, in eval mode.

        Args:
            name_or_path: A folder, `"user/name"` or `"user/name@revision"`.
            revision: Branch, tag or commit on the hub.
            cache_dir: Download cache, if not huggingface_hub's own.
            token: Hub token, for private repositories.
            local_files_only: Read the cache, never the network.
            dtype: Of the loaded weights; None or "auto" keeps the checkpoint's.
            torch_dtype: The older name of `dtype`.
            device: Where the weights go.
            attn_implementation: As in `set_attn_implementation`.
            ignore_mismatched_sizes: Initialise a weight whose shape differs, instead of an error.
            output_loading_info: Return the model and the names of its `missing_keys`,
                `unexpected_keys` and `mismatched_keys`, instead of a warning about them.
            **config_fields: Fields of the config to change, such as `num_labels=3`.

        Raises:
            FileNotFoundError: No such folder, repository, or file in it.
            ValueError: A broken file, another architecture, shapes that do not fit, no such device.
            TypeError: A keyword that is no field of the config.
        """
        from minidistil.checkpoints.loading import load_model, warn_of

        dtypes = {"dtype": dtype, "torch_dtype": torch_dtype}
        dtypes = canonical_fields({name: given for name, given in dtypes.items() if given})
        where = {
            "revision": revision, "cache_dir": cache_dir, "token": token,
            "local_files_only": local_files_only,
        }  # fmt: skip
        if attn_implementation is not None:
            config_fields["attn_implementation"] = attn_implementation
        model, info = load_model(
            cls, name_or_path, where=where, dtype=dtypes.get("dtype", "auto"), device=device,
            ignore_mismatched_sizes=ignore_mismatched_sizes, config_fields=config_fields,
        )  # fmt: skip
        if output_loading_info:
            return model, info
        warn_of(info, f"{cls.__name__} from {str(name_or_path)!r}")
        return model

    def save_pretrained(self, folder: str | os.PathLike[str]) -> None:
        """Write config.json and model.safetensors into `folder`, atomically."""
        from minidistil.checkpoints.saving import save_model

        save_model(self, folder)

    # -- Embeddings ----------------------------------------------------------------------------

    def get_input_embeddings(self) -> nn.Embedding:
        """The word embedding."""
        return self.encoder.embeddings.word_embeddings

    def set_input_embeddings(self, embedding: nn.Embedding) -> None:
        """Replace the word embedding; V of the config and a masked-LM projector follow.

        Raises:
            ValueError: It is no embedding, or not `config.dim` wide.
        """
        dim = self.config.dim
        if not isinstance(embedding, nn.Embedding) or embedding.embedding_dim != dim:
            raise ValueError(f"{embedding} does not fit: expected nn.Embedding(tokens, {dim})")
        self.resize_token_embeddings(embedding.num_embeddings)
        self.encoder.embeddings.word_embeddings = embedding
        self.tie_weights()

    def get_output_embeddings(self) -> nn.Linear | None:
        """The masked-LM projector, or None for a model without one."""
        return None

    def set_output_embeddings(self, projector: nn.Linear) -> None:
        """Replace the masked-LM projector.

        Raises:
            TypeError: The model has none.
        """
        raise TypeError(f"{type(self).__name__} has no projector; DistilBertForMaskedLM has")

    def get_position_embeddings(self) -> nn.Embedding:
        """The position embedding."""
        return self.encoder.embeddings.position_embeddings

    # -- Surgery: resizing.py says what each does ----------------------------------------------

    def resize_token_embeddings(
        self, new_num_tokens: int | None = None, pad_to_multiple_of: int | None = None
    ) -> nn.Embedding:
        """Give the vocabulary another size; see `resizing.resize_tokens`."""
        resize_tokens(self, new_num_tokens, pad_to_multiple_of)
        return self.get_input_embeddings()

    def resize_position_embeddings(self, new_num_position_embeddings: int) -> None:
        """Give the model another greatest length; see `resizing.resize_positions`."""
        resize_positions(self, new_num_position_embeddings)

    def prune_heads(self, heads_to_prune: Mapping[int, Sequence[int]]) -> None:
        """Remove attention heads for good; see `resizing.prune_heads`."""
        prune_heads(self, heads_to_prune)

    # -- Switches ------------------------------------------------------------------------------

    def set_attn_implementation(
        self, attn_implementation: str | Callable[..., Any] | AttentionImpl
    ) -> None:
        """Choose how attention is computed: "eager", "sdpa", a callable or an `AttentionImpl`.

        Raises:
            ValueError: An unknown name.
        """
        resolve_attention(attn_implementation)
        self.config.attn_implementation = attn_implementation

    def set_layer_ops(self, layer_ops: str | LayerOps) -> None:
        """Choose how the layers between the matrix products are computed.

        Args:
            layer_ops: "torch", "triton" or a `LayerOps`. With "triton" and labels, a masked
                language model in training returns its loss but no logits: they are never stored.

        Raises:
            ValueError: An unknown name, or "triton" where Triton is not installed.
        """
        resolve_layer_ops(layer_ops)
        self.config.layer_ops = layer_ops

    def gradient_checkpointing_enable(self) -> None:
        """Recompute each block in the backward pass: less memory, a third more time."""
        self.encoder.transformer.gradient_checkpointing = True

    def gradient_checkpointing_disable(self) -> None:
        """Keep every activation for the backward pass: the default."""
        self.encoder.transformer.gradient_checkpointing = False

    def returned(self, output: Output, return_dict: bool | None) -> Output | tuple:
        """A result as the caller, or else the config, wants it: typed, or as a tuple."""
        typed = self.config.return_dict if return_dict is None else return_dict
        return output if typed else output.to_tuple()

    def for_inference(self, dtype: str = "float32", keep: bool = True) -> Any:
        """A copy that answers as fast as it can; see `inference.fast.for_inference`."""
        from minidistil.inference.fast import for_inference

        return for_inference(self, dtype, keep)

    # -- Facts ---------------------------------------------------------------------------------

    def num_parameters(self, only_trainable: bool = False) -> int:
        """The number of parameters; a tied weight counts once."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad or not only_trainable)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.get_input_embeddings().weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights; of quantized ones, that in which they are used."""
        return self.encoder.embeddings.LayerNorm.weight.dtype
