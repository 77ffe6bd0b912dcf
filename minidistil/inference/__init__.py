"""The fast path: a model made for answering, built from one that is made for reading.

    model.for_inference("float32")  -> padded batch in, no padding computed, the same numbers out

- `minidistil.inference.fast`: builds it.
- `minidistil.inference.encoder`: takes the padding out, and puts it back.
- `minidistil.inference.block`: one block, its three projections in one product.
- `minidistil.inference.linear`: products with weights laid out beforehand, in three precisions.
- `minidistil.inference.attention`: attention of a packed batch, texts of one length at a time.
"""
