"""A model of each class, and its fast path."""

from tests.helpers.reference import pair


def models(cls: str, name: str, **fields):
    _, model = pair(cls, name, **fields)
    return model, model.for_inference()
