"""The same model in two other frameworks: `ports.flax` (JAX) and `ports.tensorflow` (Keras 3).

Both read and write the checkpoints of the PyTorch classes. Nothing here is imported by
`import minidistil`, and each port needs its own extra: `minidistil[jax]`, `minidistil[tensorflow]`.
"""
