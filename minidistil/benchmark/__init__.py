"""Benchmarks: `minidistil bench WHAT`. How fast, how large, how exact, and against what.

    work.py, a model --timing.py, memory.py--> numbers --report.py--> a table, JSON, a picture

- `minidistil.benchmark.comparison`: the other ways to run DistilBERT on this machine, in one run.
- `minidistil.benchmark.peers`, `minidistil.benchmark.runtimes`: each of them.
- `minidistil.benchmark.workers`: each in a process of its own.
- `minidistil.benchmark.frameworks`: this library's models in PyTorch, JAX and Keras.
- `minidistil.benchmark.saved`: the model that they all read.
- `minidistil.benchmark.floor`: the bare matrix products, which nobody can do without.
- `minidistil.benchmark.size`: DistilBERT beside BERT-base.
- `minidistil.benchmark.tables`: the two tables of transformers' page on DistilBERT.
- `minidistil.benchmark.training`: what training costs, and what a step keeps.
- `minidistil.benchmark.steps`: a step on masked words.
- `minidistil.benchmark.distillation`: a step with a teacher.
- `minidistil.benchmark.scaling`: speed and memory against batch and length.
- `minidistil.benchmark.kernels`: each Triton kernel beside PyTorch's operators.
- `minidistil.benchmark.work`: which batches, and of which model.
- `minidistil.benchmark.timing`: runs in turns, ratios pair by pair.
- `minidistil.benchmark.memory`: the peak of a fresh process; what a step keeps.
- `minidistil.benchmark.machine`: what of the machine must stand beside a number.
- `minidistil.benchmark.report`, `minidistil.benchmark.charts`: what is read in the end.

Nothing here asserts anything about speed: a machine's numbers are its own.
"""
