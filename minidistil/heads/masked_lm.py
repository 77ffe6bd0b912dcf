"""Masked language modelling: which token belongs where [MASK] stands?

transform -> activation -> LayerNorm -> projector. The projector's weight is the word embedding's
(tied), its bias its own. The head of pre-training and of distillation.

Source: Devlin et al. 2018, section 3.1, task 1; the tying is Press and Wolf 2016.
"""

from torch import Tensor, nn

from minidistil.config import DistilBertConfig
from minidistil.embeddings import LAYER_NORM_EPS
from minidistil.feed_forward import ACTIVATIONS
from minidistil.heads.base import DistilBertHead, check_labels
from minidistil.ops import resolve_layer_ops
from minidistil.outputs import MaskedLMOutput


class DistilBertForMaskedLM(DistilBertHead):
    """DistilBERT with a masked-language-modelling head.

    Examples:
        >>> import torch
        >>> from minidistil import DistilBertConfig
        >>> config = DistilBertConfig(vocab_size=100, n_layers=2, n_heads=2, dim=32, hidden_dim=64)
        >>> model = DistilBertForMaskedLM(config).eval()
        >>> labels = torch.tensor([[-100, 7, -100, -100]])  # the one masked token counts
        >>> out = model(torch.tensor([[1, 4, 5, 2]]), labels=labels)
        >>> out.logits.shape, out.loss.shape
        (torch.Size([1, 4, 100]), torch.Size([]))
    """

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
        """Replace the projector onto the vocabulary. The config then says whether it is tied.

        Raises:
            ValueError: It does not fit the word embedding, or has no bias.
        """
        words = self.get_input_embeddings().weight
        fits = isinstance(projector, nn.Linear) and projector.weight.shape == words.shape
        if not fits or projector.bias is None:
            rows, dim = words.shape
            raise ValueError(
                f"{projector} does not fit: expected nn.Linear({dim}, {rows}) with a bias; "
                "resize_token_embeddings changes the number of tokens"
            )
        self.vocab_projector = projector
        self.config.tie_word_embeddings = projector.weight is words

    def transform(self, hidden: Tensor) -> Tensor:
        """What the head does to hidden states (..., D) before it projects them onto the words."""
        ops = resolve_layer_ops(self.config.layer_ops)
        return self.vocab_layer_norm(
            ops.linear_activation(hidden, self.vocab_transform, self.activation)
        )

    def logits(self, hidden: Tensor) -> Tensor:
        """The head alone, for some rows only: hidden states (..., D) -> logits (..., V)."""
        return self.vocab_projector(self.transform(hidden))

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
            `logits` (B, S, V) or (N, V), and `loss`, the mean over the labels, where given; see
            `set_layer_ops` for when there are no logits.

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
        ops = resolve_layer_ops(self.config.layer_ops)
        hidden = self.transform(encoded.last_hidden_state)
        if labels is None:
            loss, logits = None, self.vocab_projector(hidden)
        else:
            shape, projector = hidden.shape[:-1], self.vocab_projector
            check_labels(labels, shape, projector.out_features)
            rows, targets = hidden.flatten(end_dim=-2), labels.flatten().long()
            loss, logits = ops.project_and_compare(rows, projector, targets, self.training)
            logits = None if logits is None else logits.view(*shape, projector.out_features)
        output = MaskedLMOutput(loss, logits, encoded.hidden_states, encoded.attentions)
        return self.returned(output, return_dict)
