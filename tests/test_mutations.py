"""Does the suite notice? Break one line of the library at a time; some test must fail.

Each mutant is a copy of the package with one piece of text replaced, tested by the files that ought
to find it.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PARITY = "tests/parity"
MUTANTS = [
    # (file, what stands there, what replaces it, the tests that must fail)
    ("masks.py", "attention_mask != 0", "attention_mask == 0", f"{PARITY}/test_masks.py"),
    ("masks.py", "attention_mask <= torch", "attention_mask < torch", "tests/test_masks.py"),
    ("masks.py", "and bool(allowed.all())", "", f"{PARITY}/test_masks.py"),
    ("masks.py", "head_mask.expand(layers, heads)", "head_mask.expand(layers, heads).flip(0)",
     f"{PARITY}/test_masks.py"),
    ("ops/attention.py", "query.shape[-1] ** -0.5", "query.shape[-2] ** -0.5",
     f"{PARITY}/test_forward.py"),
    ("ops/attention.py", "weights = weights.masked_fill(~allowed, 0.0)", "pass",
     f"{PARITY}/test_masks.py"),
    ("ops/attention.py", "return context.masked_fill(empty, 0.0), None", "return context, None",
     f"{PARITY}/test_masks.py"),
    ("ops/attention.py", "F.dropout(weights, dropout_p)", "weights", f"{PARITY}/test_forward.py"),
    ("attention.py", "factor = head_mask[self.heads]", "factor = head_mask[: len(self.heads)]",
     "tests/test_attention.py"),
    ("attention.py", "mask = mask[:, self.heads]", "mask = mask[:, : len(self.heads)]",
     "tests/test_attention.py"),
    ("attention.py", "mask = mask.to(query.dtype)", "pass", "tests/test_attention.py"),
    ("attention.py", "if self.training else 0.0", "", "tests/test_attention.py"),
    ("transformer.py", "(attended, hidden, self.sa", "(attended, attended, self.sa",
     f"{PARITY}/test_forward.py"),
    ("transformer.py", "self.ffn(hidden, ops)", "self.ffn(attended, ops)",
     f"{PARITY}/test_forward.py"),
    ("transformer.py", "self.gradient_checkpointing and", "False and",
     f"{PARITY}/test_gradients.py"),
    ("feed_forward.py", 'F.gelu,  # exact', 'partial(F.gelu, approximate="tanh"),  # exact',
     f"{PARITY}/test_forward.py"),
    ("feed_forward.py", "for chunk in chunks]", "for chunk in chunks[::-1]]",
     "tests/test_feed_forward.py"),
    ("embeddings.py", "LAYER_NORM_EPS = 1e-12", "LAYER_NORM_EPS = 1e-5",
     f"{PARITY}/test_forward.py"),
    ("embeddings.py", "requires_grad_(not config.sinusoidal_pos_embds)", "requires_grad_(True)",
     f"{PARITY}/test_gradients.py"),
    ("embeddings.py", "column % 2 == 0", "column < dim // 2", "tests/test_embeddings.py"),
    ("embeddings.py", "config, config.pad_token_id)", "config, None)", "tests/test_embeddings.py"),
    ("packing.py", "torch.arange(total, device=cu_seqlens.device) - starts",
     "torch.arange(total, device=cu_seqlens.device)", f"{PARITY}/test_packed.py"),
    ("packing.py", "hidden[cu_seqlens[:-1].long()]", "hidden[cu_seqlens[1:].long() - 1]",
     f"{PARITY}/test_packed.py"),
    ("ops/layers.py", ".clamp(min=1)", "", f"{PARITY}/test_losses.py"),
    ("ops/layers.py", "(labels != ignore_index).sum()", "labels.numel()",
     f"{PARITY}/test_losses.py"),
    ("heads/question_answering.py", "positions >= lengths", "positions > lengths",
     f"{PARITY}/test_losses.py"),
    ("heads/question_answering.py", "(start_loss + end_loss) / 2", "start_loss + end_loss",
     f"{PARITY}/test_losses.py"),
    ("heads/question_answering.py", "new_full(real.shape, -torch.inf)", "new_zeros(real.shape)",
     f"{PARITY}/test_packed.py"),
    ("heads/sequence_classification.py", 'if problem == "regression"\n',
     'if problem != "regression"\n', f"{PARITY}/test_losses.py"),
    ("heads/multiple_choice.py", '_flat("position_ids", position_ids, shape)', "position_ids",
     f"{PARITY}/test_losses.py"),
    ("resizing.py", "new[: len(old)] = old[:rows]", "new[: len(old)] = 0",
     "tests/test_resizing.py"),
    ("resizing.py", "projector.bias = _resized(projector.bias, rows)", "pass",
     "tests/test_resizing.py"),
    ("resizing.py", "model.config.max_position_embeddings = rows", "x = rows",
     "tests/test_resizing.py"),
    ("checkpoints/loading.py", '(".gamma", ".weight"), (".beta", ".bias")',
     '(".gamma", ".bias"), (".beta", ".weight")', "tests/checkpoints/test_loading.py"),
    ("checkpoints/loading.py", "return model.eval(), info", "return model, info",
     "tests/checkpoints/test_loading.py"),
    ("checkpoints/weights.py", '"cpu", weights_only=True', '"cpu", weights_only=False',
     "tests/checkpoints/test_loading.py"),
    ("checkpoints/conversion.py", "+ segments[0].double()", "+ segments[1].double()",
     "tests/checkpoints/test_conversion.py"),
    ("checkpoints/files.py", "os.replace(path, folder / path.name)",
     "(folder / path.name).write_bytes(path.read_bytes()[:-1])", "tests/checkpoints/test_files.py"),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "old", "new", "tests"), MUTANTS, ids=[f"{m[0]}-{i}" for i, m in enumerate(MUTANTS)]
)
def test_the_suite_notices(file, old, new, tests, tmp_path):
    ignore = shutil.ignore_patterns("__pycache__")
    for folder in ("minidistil", "tests", "kernels"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    path = tmp_path / ("" if file.startswith("kernels/") else "minidistil") / file
    source = path.read_text(encoding="utf-8")
    assert source.count(old) == 1, f"{old!r} stands {source.count(old)} times in {file}"
    path.write_text(source.replace(old, new), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", tests],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    # 1: a test failed. Anything else (0: none did; 2 to 5: none ran) is a hole.
    assert done.returncode == 1, done.stdout[-2000:] + done.stderr[-2000:]
