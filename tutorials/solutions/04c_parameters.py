"""Every parameter of a DistilBERT, from five numbers.

    a linear layer from a to b numbers      a b + b
    a LayerNorm                             2 D
    a table of n rows                       n D

The embeddings have a table of words, one of positions, and a LayerNorm. A block has four linear
layers from D to D (query, key, value, output), a LayerNorm, the two of the feed-forward network, D
to F and F to D, and a LayerNorm again. How many heads share the D columns makes no difference.

On request there is the head for masked words, too: a linear layer from D to D, a LayerNorm, and the
projection from D to the V words. The trap: its weight is tied to the table of words, which is there
already and is counted once. Its bias is its own.

Whoever can count them knows what a checkpoint weighs, and notices when a part is missing.

Arguments are named as in the config; the result is an int.
Source: Sanh et al. 2019, arXiv 1910.01108; tutorials/05_reference.py, section 1.
"""


def count_parameters(
    vocab_size: int,
    max_position_embeddings: int,
    dim: int,
    hidden_dim: int,
    n_layers: int,
    masked_lm: bool = False,
) -> int:
    """The parameters of a DistilBertModel, or of a DistilBertForMaskedLM."""
    # answer
    norm = 2 * dim
    square = dim * dim + dim
    embeddings = (vocab_size + max_position_embeddings) * dim + norm
    feed_forward = (dim * hidden_dim + hidden_dim) + (hidden_dim * dim + dim)
    block = 4 * square + norm + feed_forward + norm
    head = square + norm + vocab_size
    return embeddings + n_layers * block + (head if masked_lm else 0)
    # end
