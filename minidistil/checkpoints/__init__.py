"""Checkpoints: Hugging Face's files on disk, in and out.

`files` writes atomically, `hub` finds files, `weights` reads tensors, `loading` and `saving`
connect them to a model, `conversion` turns a BERT checkpoint into a DistilBERT one.
"""
