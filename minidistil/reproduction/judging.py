"""How like its teachers a student is, and how right, on texts that nothing was learned from.

    pairs of sentences --student, teacher--> cosines --Spearman--> do they agree which are alike?
    labelled texts --student--> accuracy

Spearman's correlation is that of the ranks: what counts is the order that cosines bring pairs into,
which is what search needs. Of n pairs with a correlation r the standard error is about
(1 - r^2) / sqrt(n).

Not here: texts (`texts.py`), training (`student.py`).
"""

import functools

import numpy as np
import torch
from torch import Tensor

from minidistil.heads import DistilBertForSequenceClassification
from minidistil.pipelines.feature_extraction import FeatureExtraction
from minidistil.pretrained import DistilBertPreTrainedModel
from minidistil.reproduction.texts import Texts
from minidistil.tokenization import DistilBertTokenizer
from minidistil.training.evaluation import check_scorer, evaluate
from minidistil.training.examples import make_examples
from minidistil.training.metrics import text_metrics


class Judge:
    """Scores models beside a teacher.

    Args:
        teacher: Says which sentences are alike.
        tokenizer: The teacher's, and that of all who are judged.
        texts: What to judge by.
        part: "judge", or "choose" for those who choose between settings.
        every: Of the pairs, which stand in no order, only the first 1/every of each kind.

    Raises:
        ValueError: A package that scores need is not installed.
    """

    def __init__(
        self,
        teacher: DistilBertPreTrainedModel,
        tokenizer: DistilBertTokenizer,
        texts: Texts,
        part: str = "judge",
        every: int = 1,
    ) -> None:
        self.teacher, self.tokenizer, self.labelled = teacher, tokenizer, texts.labelled[part]
        self.pairs = {
            kind: pairs[: -(-len(pairs) // every)] for kind, pairs in texts.pairs[part].items()
        }
        for records in self.labelled.values():
            check_scorer(records)

    @functools.cached_property
    def wanted(self) -> dict[str, Tensor]:
        """The teacher's cosines, (n,) for each kind of text."""
        return self._cosines(self.teacher)

    def agreement(self, model: DistilBertPreTrainedModel) -> dict[str, float]:
        """Spearman's correlation with the teacher's cosines, for each kind of text and for all."""
        found, wanted = self._cosines(model), self.wanted
        kinds = {kind: (found[kind], wanted[kind]) for kind in found}
        kinds["all"] = (torch.cat([*found.values()]), torch.cat([*wanted.values()]))
        return {
            kind: text_metrics(ours[:, None], theirs, "regression")["spearman"]
            for kind, (ours, theirs) in kinds.items()
        }

    def accuracy(self, model: DistilBertForSequenceClassification) -> dict[str, float]:
        """The share of right labels, for each kind of text."""
        longest, names = model.config.max_position_embeddings, model.config.id2label
        found = {}
        for kind, records in self.labelled.items():
            examples = make_examples(records, self.tokenizer, max_length=longest, id2label=names)
            found[kind] = evaluate(model, records, examples)["accuracy"]
        return found

    def _cosines(self, model: DistilBertPreTrainedModel) -> dict[str, Tensor]:
        """(n,) for each kind of text."""
        embed = FeatureExtraction(model, self.tokenizer, batch_size=64)
        found = {}
        for kind, pairs in self.pairs.items():
            vectors = torch.from_numpy(np.stack(embed([text for pair in pairs for text in pair])))
            found[kind] = (vectors[::2] * vectors[1::2]).sum(-1)
        return found
