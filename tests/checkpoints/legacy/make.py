"""Make files.zip and expected.safetensors with transformers 4's own TensorFlow and Flax classes.

    pip install transformers==4.57.6 torch==2.13.0 tensorflow-cpu==2.20.0 tf-keras==2.20.1 \
        jax==0.6.2 jaxlib==0.6.2 flax==0.10.7 numpy==2.4.6 h5py==3.16.0 msgpack==1.2.4
    python make.py

In an environment of its own, with Python 3.11: transformers 5 has no such classes. Those are the
versions that made the files that lie here. The tests do not run this.

A PyTorch model with drawn weights is loaded into either class, which writes its own file and
computes what the tests compare with.
"""

import os
import tempfile
import zipfile
from pathlib import Path

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import flax
import numpy as np
import tensorflow as tf
import torch
import transformers
from safetensors.numpy import save_file

HERE = Path(__file__).parent
HEADS = (
    "DistilBertModel",
    "DistilBertForMaskedLM",
    "DistilBertForSequenceClassification",
    "DistilBertForTokenClassification",
    "DistilBertForQuestionAnswering",
    "DistilBertForMultipleChoice",
)
DISTILBERT = {
    "vocab_size": 61,
    "max_position_embeddings": 12,
    "dim": 8,
    "n_heads": 2,
    "n_layers": 2,
    "hidden_dim": 11,
}
BERT = {
    "vocab_size": 61,
    "max_position_embeddings": 12,
    "hidden_size": 8,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "intermediate_size": 11,
}
# The three rows are also the choices of one question.
IDS = [[7, 31, 5, 60, 2, 44], [19, 3, 3, 28, 50, 11], [1, 59, 13, 40, 22, 8]]
MASK = [[1, 1, 1, 0, 0, 0], [1, 0, 1, 1, 0, 1], [1, 1, 1, 1, 1, 1]]


@torch.no_grad()
def draw(model):
    """Numbers of a size that matters: masks, biases and the order of layers show in the result."""
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            module.weight.normal_(0, 0.4)
            module.bias.normal_(0, 0.3)
        elif isinstance(module, torch.nn.LayerNorm):
            module.weight.normal_(1, 0.2)
            module.bias.normal_(0, 0.2)
        elif isinstance(module, torch.nn.Embedding):
            module.weight.normal_(0, 0.5)
    model.tie_weights()
    return model.eval()


def answers(model, cls):
    """What the class computes for the fixed inputs."""
    ids, mask = np.array(IDS), np.array(MASK)
    if cls.endswith("MultipleChoice"):
        ids, mask = ids[None], mask[None]
    result = model(input_ids=ids, attention_mask=mask)
    names = ("last_hidden_state", "logits", "start_logits", "end_logits")
    return {name: np.array(result[name]) for name in names if name in result}


def save(model, folder, **options):
    """One folder: config.json and the weights."""
    model.save_pretrained(folder, **options)
    (folder / "generation_config.json").unlink(missing_ok=True)


def both(cls, config, top, expected):
    """One model by either class: a folder each, such as tf-DistilBertModel."""
    source = top.parent / "source"
    draw(getattr(transformers, cls)(config)).save_pretrained(source)
    models = []
    for prefix, kind in (("tf", f"TF{cls}"), ("flax", f"Flax{cls}")):
        model = getattr(transformers, kind).from_pretrained(source, from_pt=True)
        save(model, top / f"{prefix}-{cls}")
        for name, array in answers(model, cls).items():
            expected[f"{prefix}-{cls}/{name}"] = array
        models.append(model)
    return models


def more(keras, flaxen, top):
    """The same model in shards, with arrays in pieces, and in half precision."""
    save(keras, top / "tf-shards", max_shard_size="3KB")
    save(flaxen, top / "flax-shards", max_shard_size="3KB")
    flax.serialization.MAX_CHUNK_SIZE = 1000
    save(flaxen, top / "flax-chunked")
    flax.serialization.MAX_CHUNK_SIZE = 2**30
    save(flaxen, top / "flax-float16", params=flaxen.to_fp16(flaxen.params))
    save(flaxen, top / "flax-bfloat16", params=flaxen.to_bf16(flaxen.params))
    tf.keras.backend.set_floatx("float16")
    half = type(keras)(keras.config)
    half.build_in_name_scope()
    half.set_weights([weight.astype(np.float16) for weight in keras.get_weights()])
    save(half, top / "tf-float16")
    tf.keras.backend.set_floatx("float32")


def main():
    """Write both files."""
    torch.manual_seed(0)
    expected = {}
    with tempfile.TemporaryDirectory() as scratch:
        top = Path(scratch) / "top"
        for cls in HEADS:
            labels = 2 if cls.endswith("QuestionAnswering") else 3
            config = transformers.DistilBertConfig(**DISTILBERT, num_labels=labels)
            models = both(cls, config, top, expected)
            if cls == "DistilBertForMaskedLM":
                more(*models, top)
        for cls in ("BertModel", "BertForMaskedLM"):
            both(cls, transformers.BertConfig(**BERT), top, expected)
        with zipfile.ZipFile(HERE / "files.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(top.rglob("*.*")):
                # With a date of its own, each run would make another archive.
                entry = zipfile.ZipInfo(str(path.relative_to(top)))
                archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    inputs = {"input_ids": np.array(IDS), "attention_mask": np.array(MASK)}
    save_file(expected | inputs, HERE / "expected.safetensors")


if __name__ == "__main__":
    main()
