"""What `import minidistil` brings in: no Triton, no transformers; in a fresh process."""

import subprocess
import sys

PROGRAM = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("triton", "transformers", "huggingface_hub", "jax"):
            raise ImportError(f"{name} is not to be had here")
sys.meta_path.insert(0, Refuse())
sys.modules.pop("triton", None)
import minidistil
config = minidistil.DistilBertConfig(vocab_size=9, n_layers=1, dim=8, n_heads=2, hidden_dim=5)
import torch
output = minidistil.DistilBertForMaskedLM(config)(torch.tensor([[1, 2, 3]]))
print(tuple(output.logits.shape), minidistil.__version__)
"""


def test_a_model_runs_where_triton_and_transformers_cannot_be_imported():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "(1, 3, 9) 0.1.0\n"


def test_public_names():
    import minidistil

    for name in minidistil.__all__:
        assert getattr(minidistil, name) is not None
    assert minidistil.DistilBertTokenizerFast is minidistil.DistilBertTokenizer
