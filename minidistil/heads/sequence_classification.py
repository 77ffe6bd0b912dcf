"""Sequence classification and regression: one answer a text, read off its [CLS] token.

pre_classifier -> ReLU -> dropout -> classifier. BERT's pooler has a tanh here, and is pre-trained.

Source: Devlin et al. 2018, section 4.1, with transformers' three kinds of problem.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minidistil.checks import check_range, check_tensors
from minidistil.config import PROBLEM_TYPES, DistilBertConfig
from minidistil.heads.base import IGNORE_INDEX, DistilBertHead, cross_entropy, widened
from minidistil.outputs import SequenceClassifierOutput
from minidistil.packing import first_tokens


class DistilBertForSequenceClassification(DistilBertHead):
    """DistilBERT with a classifier or regressor of whole sequences.

    Examples:
        >>> import torch
        >>> from minidistil import DistilBertConfig
        >>> config = DistilBertConfig(vocab_size=100, n_layers=2, n_heads=2, dim=32, num_labels=3)
        >>> model = DistilBertForSequenceClassification(config).eval()
        >>> out = model(torch.tensor([[1, 7, 5, 2], [1, 8, 6, 2]]), labels=torch.tensor([0, 2]))
        >>> out.logits.shape, out.loss.shape
        (torch.Size([2, 3]), torch.Size([]))
    """

    def __init__(self, config: DistilBertConfig) -> None:
        super().__init__(config)
        self.pre_classifier = nn.Linear(config.dim, config.dim)
        self.classifier = nn.Linear(config.dim, config.num_labels)
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
    ) -> SequenceClassifierOutput | tuple:
        """Classify sequences. All but `labels` as in `DistilBertModel.forward`.

        Args:
            labels: By `config.problem_type`; where that is None, one label means regression,
                integers mean a single label, anything else several. Nothing is written back.
                - "regression": (B,) or (B, num_labels) numbers; the loss is the mean square error.
                  No label is ignored, be it -100 or NaN.
                - "single_label_classification": (B,) labels, -100 is ignored; cross-entropy.
                - "multi_label_classification": (B, num_labels) from 0 to 1, -100 is ignored; binary
                  cross-entropy.

        Returns:
            `logits` (B, num_labels), and `loss`, a mean, where labels are given.

        Raises:
            ValueError: Also for labels of another shape or out of range, and an unknown
                `config.problem_type`.
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
        pooled = self.pre_classifier(first_tokens(encoded.last_hidden_state, cu_seqlens)).relu()
        logits = self.classifier(self.dropout(pooled))
        loss = None if labels is None else self._loss(logits, labels)
        output = SequenceClassifierOutput(loss, logits, encoded.hidden_states, encoded.attentions)
        return self.returned(output, return_dict)

    def _loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        check_tensors(labels=labels)
        problem = self.config.problem_type
        if problem is None:
            integers = not labels.is_floating_point() and labels.dtype != torch.bool
            several = "single" if integers else "multi"
            problem = "regression" if logits.shape[1] == 1 else f"{several}_label_classification"
        elif problem not in PROBLEM_TYPES:
            raise ValueError(f"config.problem_type is {problem!r}, none of {PROBLEM_TYPES}")
        single = problem == "single_label_classification"
        if single and labels.numel() == len(logits):
            return cross_entropy(logits, labels.reshape(-1))
        if problem == "regression" and logits.shape[1] == 1 and labels.dim() == 1:
            labels = labels[:, None]
        if single or labels.shape != logits.shape:
            raise ValueError(
                f"labels of shape {tuple(labels.shape)} do not fit {problem} with logits of shape "
                f"{tuple(logits.shape)}: an integer a text is its class; several labels a text are "
                "labels.float(), or integers with config.problem_type='multi_label_classification'"
            )
        logits = widened(logits)
        labels = labels.to(logits.dtype)
        if problem == "regression":
            return F.mse_loss(logits, labels, reduction="sum") / max(1, logits.numel())
        check_range("labels", labels, 2, f"no or yes, {IGNORE_INDEX} = ignored", IGNORE_INDEX)
        kept = (labels != IGNORE_INDEX).to(logits.dtype)
        loss = F.binary_cross_entropy_with_logits(logits, labels, weight=kept, reduction="sum")
        return loss / kept.sum().clamp(min=1)
