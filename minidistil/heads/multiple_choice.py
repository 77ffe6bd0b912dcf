"""Multiple choice: which of C texts fits best? Each is scored alone; softmax runs over the choices.

The same layers as a sequence classifier with one output, on B * C sequences at once.

Source: Devlin et al. 2018, section 4.4.
"""

from torch import Tensor, nn

from minidistil.checks import check_tensors
from minidistil.config import DistilBertConfig
from minidistil.heads.base import DistilBertHead, cross_entropy
from minidistil.outputs import MultipleChoiceModelOutput
from minidistil.packing import first_tokens


class DistilBertForMultipleChoice(DistilBertHead):
    """DistilBERT with a score for each choice.

    Examples:
        >>> import torch
        >>> from minidistil import DistilBertConfig
        >>> config = DistilBertConfig(vocab_size=100, n_layers=2, n_heads=2, dim=32, hidden_dim=64)
        >>> model = DistilBertForMultipleChoice(config).eval()
        >>> choices = torch.tensor([[[1, 7, 2, 5, 2], [1, 7, 2, 6, 2]]])  # (B, C, S)
        >>> model(choices).logits.shape
        torch.Size([1, 2])
    """

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config)
        self.pre_classifier = nn.Linear(config.dim, config.dim)
        self.classifier = nn.Linear(config.dim, 1)
        self.dropout = nn.Dropout(config.seq_classif_dropout)
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
    ) -> MultipleChoiceModelOutput | tuple:
        """Score choices. Every input has a dimension of choices; the rest as in `DistilBertModel`.

        Args:
            input_ids: (B, C, S).
            attention_mask: (B, C, S).
            inputs_embeds: (B, C, S, D).
            labels: (B,), the right choice; -100 is ignored.
            position_ids: (B, C, S), or broadcastable to (B * C, S).

        Returns:
            `logits` (B, C), and `loss`, the mean over the labels, where given; `hidden_states` and
            `attentions` are those of the B * C sequences.

        Raises:
            ValueError: Also for inputs without choices, a packed batch, labels out of range.
        """
        if cu_seqlens is not None:
            raise ValueError("cu_seqlens does not say which sequences are choices of one question")
        check_tensors(
            input_ids=input_ids,
            attention_mask=attention_mask,
            inputs_embeds=inputs_embeds,
            position_ids=position_ids,
        )
        given = input_ids if inputs_embeds is None else inputs_embeds[..., 0]
        if given is None or given.dim() != 3:
            raise ValueError(
                "multiple choice takes input_ids (batch, choices, length) or inputs_embeds "
                f"(batch, choices, length, dim), not {None if given is None else given.shape}"
            )
        shape = tuple(given.shape)
        encoded = self.distilbert(
            None if input_ids is None else input_ids.flatten(0, 1),
            _flat("attention_mask", attention_mask, shape),
            None if inputs_embeds is None else inputs_embeds.flatten(0, 1),
            _flat("position_ids", position_ids, shape),
            head_mask=head_mask,
            max_seqlen=max_seqlen,
            output_hidden_states=output_hidden_states,
            output_attentions=output_attentions,
            return_dict=True,
        )
        pooled = self.pre_classifier(first_tokens(encoded.last_hidden_state, None)).relu()
        logits = self.classifier(self.dropout(pooled)).view(shape[:2])
        loss = None if labels is None else cross_entropy(logits, labels)
        output = MultipleChoiceModelOutput(loss, logits, encoded.hidden_states, encoded.attentions)
        return self.returned(output, return_dict)


def _flat(name: str, value: Tensor | None, shape: tuple[int, ...]) -> Tensor | None:
    """(B, C, ...) -> (B * C, ...); a tensor without the dimension of choices passes as it is."""
    if value is None or value.dim() != len(shape):
        return value
    if tuple(value.shape) != shape:
        raise ValueError(f"{name} has shape {tuple(value.shape)}, the input {shape}")
    return value.flatten(0, 1)
