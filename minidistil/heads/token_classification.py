"""Token classification: a label for every token, as in named-entity recognition.

Source: Devlin et al. 2018, section 5.3.
"""

from torch import Tensor, nn

from minidistil.config import DistilBertConfig
from minidistil.heads.base import DistilBertHead, cross_entropy
from minidistil.outputs import TokenClassifierOutput


class DistilBertForTokenClassification(DistilBertHead):
    """DistilBERT with a linear layer on every hidden state.

    Examples:
        >>> import torch
        >>> from minidistil import DistilBertConfig
        >>> config = DistilBertConfig(vocab_size=100, n_layers=2, n_heads=2, dim=32, num_labels=5)
        >>> model = DistilBertForTokenClassification(config).eval()
        >>> model(torch.tensor([[1, 7, 5, 2]])).logits.shape
        torch.Size([1, 4, 5])
    """

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.dim, config.num_labels)
        self.initialise()

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
    ) -> TokenClassifierOutput | tuple:
        """Label tokens. All but `labels` as in `DistilBertModel.forward`.

        Args:
            labels: (B, S), or (N,) packed: each token's label; -100 is ignored.

        Returns:
            `logits` (B, S, num_labels) or (N, num_labels), and `loss`, the mean over the labels,
            where given.

        Raises:
            ValueError: Also for labels of another shape or out of range.
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
        logits = self.classifier(self.dropout(encoded.last_hidden_state))
        loss = None if labels is None else cross_entropy(logits, labels)
        output = TokenClassifierOutput(loss, logits, encoded.hidden_states, encoded.attentions)
        return self.returned(output, return_dict)
