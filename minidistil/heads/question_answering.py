"""Extractive question answering: where in the context does the answer start and end?

A linear layer gives every token two scores. Its loss is the mean of two cross-entropies over the
positions of a sequence: one for the start, one for the end.

Source: Devlin et al. 2018, section 4.2.
"""

import torch
from torch import Tensor, nn

from minidistil.checks import check_ids, check_range
from minidistil.config import DistilBertConfig
from minidistil.heads.base import IGNORE_INDEX, DistilBertHead, cross_entropy
from minidistil.outputs import QuestionAnsweringModelOutput


class DistilBertForQuestionAnswering(DistilBertHead):
    """DistilBERT with a span head.

    Raises:
        ValueError: The config has another number of labels than two, start and end.

    Examples:
        >>> import torch
        >>> from minidistil import DistilBertConfig
        >>> config = DistilBertConfig(vocab_size=100, n_layers=2, n_heads=2, dim=32, hidden_dim=64)
        >>> model = DistilBertForQuestionAnswering(config).eval()
        >>> out = model(torch.tensor([[1, 7, 2, 5, 6, 2]]))
        >>> out.start_logits.shape, out.end_logits.shape
        (torch.Size([1, 6]), torch.Size([1, 6]))
    """

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config)
        if config.num_labels != 2:
            raise ValueError(f"config.num_labels must be 2 (start, end), not {config.num_labels}")
        self.qa_outputs = nn.Linear(config.dim, config.num_labels)
        self.dropout = nn.Dropout(config.qa_dropout)
        self.initialise()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        start_positions: Tensor | None = None,
        end_positions: Tensor | None = None,
        position_ids: Tensor | None = None,
        *,
        head_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        cu_seqlens: Tensor | None = None,
        max_seqlen: int | None = None,
        output_hidden_states: bool | None = None,
        output_attentions: bool | None = None,
        return_dict: bool | None = None,
    ) -> QuestionAnsweringModelOutput | tuple:
        """Score spans. All but the positions as in `DistilBertModel.forward`.

        Args:
            start_positions: int32 or int64 (B,), the first token of each answer, counted in its
                sequence. One at or past the end of it is ignored: the answer was truncated away.
            end_positions: (B,), the last token, likewise. Both or neither.

        Returns:
            `start_logits` and `end_logits`, (B, S) or (N,), and `loss` where positions are given.

        Raises:
            ValueError: Also for a position of another dtype, a negative one, or one kind of
                position without the other.
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
        logits = self.qa_outputs(self.dropout(encoded.last_hidden_state))
        start_logits, end_logits = logits.unbind(-1)
        if (start_positions is None) != (end_positions is None):
            raise ValueError("give both start_positions and end_positions, or neither")
        loss = None
        if start_positions is not None and end_positions is not None:
            start_loss = _position_loss(
                start_logits, start_positions, cu_seqlens, "start_positions"
            )
            end_loss = _position_loss(end_logits, end_positions, cu_seqlens, "end_positions")
            loss = (start_loss + end_loss) / 2
        output = QuestionAnsweringModelOutput(
            loss, start_logits, end_logits, encoded.hidden_states, encoded.attentions
        )
        return self.returned(output, return_dict)


def _position_loss(
    logits: Tensor, positions: Tensor, cu_seqlens: Tensor | None, name: str
) -> Tensor:
    """Cross-entropy over the positions of each sequence: S classes, of which one is right."""
    check_ids(name, positions)
    positions = positions.reshape(-1)
    check_range(name, positions, None, "count from 0; past the end means the answer is cut off")
    if cu_seqlens is None:
        lengths = torch.full_like(positions, logits.shape[1])
    else:
        lengths = cu_seqlens.diff()
        # To (B, S): -inf is a position that cannot be chosen.
        places = torch.arange(max(lengths.tolist(), default=0), device=logits.device)
        real = places < lengths[:, None]
        logits = logits.new_full(real.shape, -torch.inf).masked_scatter(real, logits)
    if len(positions) != len(logits):
        raise ValueError(f"{name} has {len(positions)} entries for {len(logits)} sequences")
    return cross_entropy(logits, positions.masked_fill(positions >= lengths, IGNORE_INDEX), name)
