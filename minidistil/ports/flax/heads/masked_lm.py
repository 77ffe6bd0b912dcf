"""Masked language modelling: which token belongs where [MASK] stands?

transform -> activation -> LayerNorm -> projector. The projector's matrix is the word embedding
(tied), its bias its own. The twin of `minidistil/heads/masked_lm.py`.

Source: Devlin et al. 2018, section 3.1, task 1; the tying is Press and Wolf 2016.
"""

from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from minidistil.config import DistilBertConfig
from minidistil.heads import DistilBertForMaskedLM
from minidistil.ports.flax.feed_forward import ACTIVATIONS
from minidistil.ports.flax.heads.base import FlaxDistilBertHead, cross_entropy
from minidistil.ports.flax.layers import layer_norm, linear, table, weight_dtype
from minidistil.ports.outputs import HeadOutput


class VocabProjector(nnx.Module):
    """Scores of all tokens: hidden (..., D) @ embedding (V, D)^T + bias (V,).

    Tied means that `embedding` is the `nnx.Param` of the word embedding: one weight at two places,
    whose gradient is the sum of both.
    """

    def __init__(self, config: DistilBertConfig, words: nnx.Embed, *, rngs: nnx.Rngs) -> None:
        rows = words if config.tie_word_embeddings else table(config, config.vocab_size, rngs)
        self.embedding = rows.embedding
        self.bias = nnx.Param(jnp.zeros(config.vocab_size, weight_dtype(config)))

    def __call__(self, hidden: Float[Array, "... D"]) -> Float[Array, "... V"]:
        """Project hidden states onto the vocabulary."""
        return hidden @ self.embedding[...].T + self.bias[...]


class FlaxDistilBertForMaskedLM(FlaxDistilBertHead):
    """DistilBERT with a masked-language-modelling head.

    Examples:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from minidistil import DistilBertConfig
        >>> config = DistilBertConfig(vocab_size=100, n_layers=2, n_heads=2, dim=32, hidden_dim=64)
        >>> model = FlaxDistilBertForMaskedLM(config, rngs=nnx.Rngs(0))
        >>> labels = jnp.array([[-100, 7, -100, -100]])  # the one masked token counts
        >>> out = model(jnp.array([[1, 4, 5, 2]]), labels=labels)
        >>> out.logits.shape, out.loss.shape
        ((1, 4, 100), ())
    """

    torch_class = DistilBertForMaskedLM

    def __init__(self, config: DistilBertConfig, *, rngs: nnx.Rngs) -> None:
        super().__init__(config, rngs=rngs)
        self.vocab_transform = linear(config, config.dim, config.dim, rngs)
        self.activation = ACTIVATIONS[config.activation]
        self.vocab_layer_norm = layer_norm(config, rngs)
        words = self.distilbert.embeddings.word_embeddings
        self.vocab_projector = VocabProjector(config, words, rngs=rngs)

    def __call__(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        inputs_embeds: Any = None,
        labels: Any = None,
        position_ids: Any = None,
        *,
        head_mask: Any = None,
        token_type_ids: Any = None,
        train: bool = False,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        """Predict tokens. All but `labels` as in `FlaxDistilBertModel`.

        Args:
            labels: (B, S): the token that belongs in each place; -100 is ignored.

        Returns:
            A `HeadOutput`: `logits` (B, S, V), and `loss`, the mean over the labels, where given.

        Raises:
            ValueError: Also for labels of another shape or outside the vocabulary.
        """
        encoded = self.distilbert(
            input_ids,
            attention_mask,
            inputs_embeds,
            position_ids,
            head_mask=head_mask,
            train=train,
            output_hidden_states=output_hidden_states,
            output_attentions=output_attentions,
            return_dict=True,
        )
        hidden = self.activation(self.vocab_transform(encoded.last_hidden_state))
        logits = self.vocab_projector(self.vocab_layer_norm(hidden))
        loss = None if labels is None else cross_entropy(logits, labels)
        output = HeadOutput(loss, logits, encoded.hidden_states, encoded.attentions)
        return self.returned(output, return_dict)
