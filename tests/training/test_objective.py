"""The abstract objective says so; tokens are counted without padding."""

import pytest

from minidistil.training.objective import Objective, tokens_of
from tests.helpers.training import masked_batch, padded


def test_abstract():
    objective = Objective()
    for use in (lambda: objective.student, lambda: objective.counts({}), lambda: objective({})):
        with pytest.raises(TypeError, match="Objective is abstract"):
            use()


def test_tokens_of_packed_and_padded_batches():
    batch = masked_batch(0, (7, 3, 11))
    assert tokens_of(batch) == tokens_of(padded(batch)) == 21
