"""Masked language modelling: which token belongs where [MASK] stands?

transform -> activation -> LayerNorm -> projector. The projector's weight is the word embedding's
(tied), its bias its own. The head of pre-training and of distillation.

Source: Devlin et al. 2018, section 3.1, task 1; the tying is Press and Wolf 2016.
"""

from torch import Tensor, nn

from minidistil.config import DistilBertConfig
from minidistil.embeddings import LAYER_NORM_EPS
from minidistil.feed_forward import ACTIVATIONS
from minidistil.heads.base import DistilBertHead, cross_entropy
from minidistil.outputs import MaskedLMOutput


class DistilBertForMaskedLM(DistilBertHead):
    """DistilBERT with a masked-language-modelling head."""

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config)
        self.vocab_transform = nn.Linear(config.dim, config.dim)
        self.activation = ACTIVATIONS[config.activation]
        self.vocab_layer_norm = nn.LayerNorm(config.dim, eps=LAYER_NORM_EPS)
        self.vocab_projector = nn.Linear(config.dim, config.vocab_size)
        self.initialise()

    def get_output_embeddings(self) -> nn.Linear:
        """The projector onto the vocabulary."""
        return self.vocab_projector

    def set_output_embeddings(self, projector: nn.Linear) -> None:
        """Replace the projector onto the vocabulary.

        Raises:
            ValueError: It has another number of rows than the word embedding.
        """
        if projector.out_features != self.config.vocab_size:
            raise ValueError(
                f"a projector onto {projector.out_features} tokens does not fit vocab_size="
                f"{self.config.vocab_size}; call resize_token_embeddings first"
            )
        self.vocab_projector = projector

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        position_ids: Tensor | None = None,
        *,
        head_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        cu_seqlens: Tensor | None = None,
        max_seqlen: int | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        return_dict: bool | None = None,
    ) -> MaskedLMOutput | tuple:
        """Predict tokens. All but `labels` as in `DistilBertModel.forward`.

        Args:
            labels: (B, S), or (N,) packed: the token that belongs in each place; -100 is ignored.

        Returns:
            `logits` (B, S, V) or (N, V), and `loss`, the mean over the labels, where given.

        Raises:
            ValueError: Also for labels of another shape or outside the vocabulary.
        """
        encoded = self.distilbert(
            input_ids,
            attention_mask,
            inputs_embeds,
            position_ids,
            head_mask=head_mask,
            cu_seqlens=cu_seqlens,
            max_seqlen=max_seqlen,
            output_hidden_states=output_hidden_states,
            output_attentions=output_attentions,
            return_dict=True,
        )
        hidden = self.activation(self.vocab_transform(encoded.last_hidden_state))
        logits = self.vocab_projector(self.vocab_layer_norm(hidden))
        loss = None if labels is None else cross_entropy(logits, labels)
        output = MaskedLMOutput(loss, logits, encoded.hidden_states, encoded.attentions)
        return self.returned(output, return_dict)
