"""Checkpoints: Hugging Face's files on disk, in and out.

`files` writes atomically, `hub` finds files, `weights` reads tensors, `legacy` those of
TensorFlow and Flax, `quantized` knows int8 rows,
`loading` and `saving` connect them to a model, `conversion` turns a BERT checkpoint into a
DistilBERT one.
"""
