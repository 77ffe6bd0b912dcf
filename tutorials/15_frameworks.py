# %% [markdown]
# # One model, three frameworks
#
# The model is mathematics; a framework is a way to write it down. The same student, in PyTorch, JAX
# and Keras: what is the same to the last digits, and what each wants to have its own way.
#
# **You need** `pip install -e '.[jax,tensorflow]'`, about two gigabytes. Then
# `python tutorials/15_frameworks.py` takes less than a minute, without GPU or network.
#
# **At the end you can** read a model in the framework that you don't know, say who keeps its
# weights and its random numbers where, and why a wrong id is silent in one of the three.
#
# Before this: [Making inference fast](14_inference.md). Beside this: the page "Three frameworks" of
# the site, with the sources of each part side by side.

# %%
import os
import re
import sys
from importlib.util import find_spec

if missing := [name for name in ("jax", "flax", "tensorflow", "keras") if not find_spec(name)]:
    sys.exit(f"Missing: {', '.join(missing)}; pip install -e '.[jax,tensorflow]'")
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # TensorFlow greets at length

import numpy as np
import torch

from minidistil import DistilBertForSequenceClassification, DistilBertTokenizer
from minidistil.assets import STUDENT
from minidistil.ports.flax import FlaxDistilBertForSequenceClassification
from minidistil.ports.tensorflow import TFDistilBertForSequenceClassification

import jax  # isort: skip
import jax.numpy as jnp  # isort: skip
import keras  # isort: skip
import optax  # isort: skip
import tensorflow as tf  # isort: skip
from flax import nnx  # isort: skip

# %% [markdown]
# ## 1. One file, three models
#
# The student that ships is one safetensors file. All three read it.

# %%
tokenizer = DistilBertTokenizer.from_pretrained(STUDENT)
in_torch = DistilBertForSequenceClassification.from_pretrained(STUDENT)
in_jax = FlaxDistilBertForSequenceClassification.from_pretrained(STUDENT)
in_keras = TFDistilBertForSequenceClassification.from_pretrained(STUDENT)

texts = ["A joy from beginning to end.", "A waste of an evening, and of a good cast."]
batch = tokenizer(texts, padding=True, return_tensors="np")
ids, mask = batch["input_ids"], batch["attention_mask"]

# %% [markdown]
# **Predict** how far apart the logits are: 0, the last of 7 digits, or the third?

# %%
with torch.no_grad():
    want = in_torch(torch.from_numpy(ids), torch.from_numpy(mask)).logits.numpy()
answers = {
    "PyTorch": want,
    "JAX": np.asarray(in_jax(ids, mask).logits),
    "Keras": in_keras(ids, mask).logits.numpy(),
}
for name, logits in answers.items():
    off = np.abs(logits - want).max()
    print(f"{name:8}", *(f"{number:8.4f}" for number in logits.ravel()), f"off by {off:.0e}")
    assert off < 1e-5 * max(1, np.abs(want).max())

# %% [markdown]
# Not 0: each library adds up the 384 terms of a sum in another order, and sums of floats depend on
# it ([The model against its reference](05_reference.md)).
#
# ## 2. Where the matrix lies
#
# All three compute $y = xW + b$. **Predict** the shape of W in each, for a layer
# from D numbers to F.

# %%
D, F = in_torch.config.dim, in_torch.config.hidden_dim
block = in_torch.distilbert.transformer.layer[0].ffn.lin1
shapes = {
    "PyTorch": tuple(block.weight.shape),
    "JAX": in_jax.distilbert.transformer.layer[0].ffn.lin1.kernel.shape,
    "Keras": tuple(in_keras.distilbert.transformer.layer[0].ffn.lin1.kernel.shape),
}
print(f"D = {D}, F = {F}: {shapes}")
assert shapes == {"PyTorch": (F, D), "JAX": (D, F), "Keras": (D, F)}

# %% [markdown]
# PyTorch keeps $W^T$ and calls it `weight`, the others $W$ and call it `kernel`. A converter that
# forgets to transpose is found at once where F is not D, and by nobody where it is: the four
# matrices of attention are square.
#
# ## 3. Who owns the weights
#
# A PyTorch module owns its parameters, and `backward()` leaves gradients in them. JAX
# differentiates functions of arrays: what looks like an object here (`nnx.Module`) can be taken
# apart into a description and a tree of arrays, and put together again.

# %%
description, weights = nnx.split(in_jax)
again = nnx.merge(description, weights)
assert np.array_equal(again(ids, mask).logits, in_jax(ids, mask).logits)
count = sum(leaf.size for leaf in jax.tree.leaves(weights))
print(f"{count:,} numbers in JAX's tree, {in_torch.num_parameters():,} parameters in PyTorch")

# %% [markdown]
# The few more are the states of JAX's random generators: they are data like all else, not a
# switch hidden in the machine. Dropout shows the three ways to be random:
#
# | | on | random numbers from |
# |---|---|---|
# | PyTorch | `model.train()` | one global generator, `torch.manual_seed` |
# | JAX | `train=True` in the call | the `rngs` that the model was built with |
# | Keras | `training=True` in the call | each Dropout's own, `keras.utils.set_random_seed` |
#
# ## 4. One step of training
#
# The same batch, the same loss, one step of plain gradient descent, without dropout. **Predict**:
# after it, do the weights still agree to 1e-5?

# %%
labels, rate = np.array([0, 1]), 0.1  # both are wrong: there is something to learn


def torch_step(model):
    tensors = [torch.from_numpy(array) for array in (ids, mask, labels)]
    loss = model(tensors[0], tensors[1], labels=tensors[2]).loss
    loss.backward()
    torch.optim.SGD(model.parameters(), rate).step()
    return loss.item()


def jax_step(model):
    def loss_of(model):
        return model(ids, mask, labels=labels).loss

    loss, gradients = nnx.value_and_grad(loss_of)(model)
    nnx.Optimizer(model, optax.sgd(rate), wrt=nnx.Param).update(model, gradients)
    return float(loss)


def keras_step(model):
    with tf.GradientTape() as tape:
        loss = model(ids, mask, labels=labels).loss
    gradients = tape.gradient(loss, model.trainable_variables)
    keras.optimizers.SGD(rate).apply(gradients, model.trainable_variables)
    return float(loss)


losses = [torch_step(in_torch), jax_step(in_jax), keras_step(in_keras)]
print("loss before the step:", [f"{loss:.7f}" for loss in losses])
moved = {
    "JAX": np.asarray(in_jax.classifier.kernel[...]).T,
    "Keras": in_keras.classifier.kernel.numpy().T,
}
for name, kernel in moved.items():
    off = np.abs(kernel - in_torch.classifier.weight.detach().numpy()).max()
    print(f"{name}: the classifier is off by {off:.0e} after the step")
    assert off < 1e-5
assert max(losses) - min(losses) < 1e-5

# %% [markdown]
# PyTorch writes down what it does while it does it; JAX traces a function and returns another;
# Keras on TensorFlow records on a tape while it is open. Three ways to one chain rule.
#
# ## 5. Compiled once for each shape
#
# `jax.jit` runs the Python once for each new shape and never again for a known one. A line of
# Python inside is a good spy. **Predict** how often it runs for lengths 5, 9, 5, 9, 12.

# %%
traced = []


@jax.jit
def encode(weights, ids):
    traced.append(ids.shape)
    return nnx.merge(description, weights)(ids).logits


for length in (5, 9, 5, 9, 12):
    encode(weights, jnp.ones((1, length), jnp.int32))
print("traced for", traced)
assert traced == [(1, 5), (1, 9), (1, 12)]

# %% [markdown]
# So who serves texts of all lengths with JAX pads them to a few ("buckets"), and pays padding to
# save compilations. The fast path of the last tutorial has no padding and compiles nothing.
#
# ## 6. The id that does not exist
#
# The vocabulary has 30,522 rows. **Predict** what each framework says to the id 99,999: in plain
# calls, where our models look at the values, and under `jax.jit`, where there are no values yet.

# %%
wrong = np.array([[101, 99_999, 102]])
for name, model in (("JAX", in_jax), ("Keras", in_keras)):
    try:
        model(wrong)
    except ValueError as error:
        (line,) = [line for line in str(error).splitlines() if "99999" in line]
        print(f"{name}:", re.sub(r"\x1b\[[0-9;]*m", "", line)[:60], "...")
    else:
        raise AssertionError(f"{name} took an id that does not exist")
silent = encode(weights, jnp.asarray(wrong))
print("JAX, compiled:", np.asarray(silent).round(2).tolist())
assert jnp.isnan(silent).all()
table = jnp.arange(3.0)
print("two ways to read row 7 of 3:", table[jnp.array(7)], jnp.take(table, 7))

# %% [markdown]
# A compiled JAX function can't raise: it runs where there is no Python to ask. `take` fills what is
# past the end with NaN, as our models do on both sides of the table; square brackets take the last
# row, an answer as if nothing had happened. So check ids before they go in.
#
# ## Exercises
#
# 1. Save `in_keras` with `save_pretrained`, load the folder in PyTorch, and compare all weights.
# 2. Time the three, compiled: `minidistil bench frameworks`. **Predict** who is first for one text,
#    and for 32 of mixed lengths.
# 3. Let dropout on (`train=True`) and call `in_jax` twice. Why do the logits differ? Make them
#    equal by building the model anew with the same `nnx.Rngs`.
# 4. Write the step of section 4 in JAX without nnx: `jax.value_and_grad` of a function of weights.
# 5. Train in JAX for ten steps, and answer with the student in `pipeline("text-classification")`.
