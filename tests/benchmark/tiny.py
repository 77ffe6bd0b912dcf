"""A setting that takes no time, whose model reacts to its mask: weights ten times as large."""

from minidistil.benchmark.work import Setting, Work

FIELDS = {
    "vocab_size": 150,
    "n_layers": 2,
    "n_heads": 2,
    "dim": 32,
    "hidden_dim": 64,
    "initializer_range": 0.2,
}
ROWS = (Work("one", (7,)), Work("mixed", (9, 3, 5)))
SETTING = Setting(fields=FIELDS, rows=ROWS, rounds=2, rest=0.0)
