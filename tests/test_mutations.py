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
    ("transformer.py", "self.ffn(attended, ops)", "self.ffn(hidden, ops)",
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
    ("heads/sequence_classification.py", 'if problem == "regression":\n',
     'if problem != "regression":\n', f"{PARITY}/test_losses.py"),
    ("heads/sequence_classification.py", "weight=kept, ", "",
     "tests/heads/test_sequence_classification.py"),
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
     "tests/checkpoints/test_broken_checkpoints.py"),
    ("checkpoints/conversion.py", "+ segments[0].double()", "+ segments[1].double()",
     "tests/checkpoints/test_conversion.py"),
    ("checkpoints/files.py", "os.replace(path, folder / path.name)",
     "(folder / path.name).write_bytes(path.read_bytes()[:-1])", "tests/checkpoints/test_files.py"),
    ("checkpoints/files.py", "if abandoned:", "if True:", "tests/checkpoints/test_files.py"),
]  # fmt: skip
# training: the recipe, sums over everything at once, what must not repeat
MUTANTS += [
    ("distillation/masking.py", "** -smoothing", "** smoothing",
     "tests/distillation/test_masking.py"),
    ("distillation/masking.py", "self._weights[special] = 0", "pass",
     "tests/distillation/test_masking.py"),
    ("distillation/losses.py", "return temperature**2 * terms", "return temperature * terms",
     "tests/distillation/test_losses.py"),
    ("distillation/losses.py", "log_p.exp() * (log_p - log_q)", "log_q.exp() * (log_q - log_p)",
     "tests/distillation/test_losses.py"),
    ("distillation/distiller.py", "masked if self.masked_only else tokens", "tokens",
     "tests/distillation/test_distiller.py"),
    ("distillation/distiller.py", 'values[batch["attention_mask"].bool()]', "values.flatten(0, 1)",
     "tests/distillation/test_distiller.py"),
    ("distillation/student.py", "enumerate(layers):", "enumerate(sorted(layers)):",
     "tests/distillation/test_student.py"),
    ("distillation/batches.py", "(self._seed, number)", "(self._seed, 0)",
     "tests/distillation/test_batches.py"),
    ("training/trainer.py", "(total * processes.world_size()).backward()", "total.backward()",
     "tests/training/test_processes.py"),
    ("training/trainer.py", "sums[name] / divisors[name]", "sums[name]",
     "tests/training/test_trainer.py"),
    ("training/trainer.py", "torch.manual_seed(step_seed(settings.seed, self.step, ",
     "print((settings.seed, self.step, ", "tests/training/test_trainer.py"),
    ("training/optimizer.py", 'p.dim() >= 2], "weight_decay"', 'p.dim() >= 1], "weight_decay"',
     "tests/training/test_optimizer.py"),
    ("training/head_objective.py", "float(weights[taught].sum())", "len(taught)",
     "tests/training/test_head_objective.py"),
    ("quantization.py", "& -128)", "& -1)", "tests/test_quantization.py"),
    ("quantization.py", ".round().to(torch.int8)", ".to(torch.int8)", "tests/test_quantization.py"),
]  # fmt: skip
KERNELS = "kernels/minidistil_kernels"
ATTENTION = "tests/kernels/test_attention.py"
LAB = "tests/kernels/lab"
AUTOCAST = "tests/kernels/test_autograd.py::test_autocast_changes_no_gradient"
LAYOUTS = "tests/kernels/test_memory_layouts.py::test_integers_and_masks_may_lie_anywhere_in_memory"
# Each is found by one test: in the interpreter whole files would take minutes.
MUTANTS += [
    # attention: off by one, wrong scale, accumulator not rescaled, wrong base, last tile dropped
    (f"{KERNELS}/attention_forward.py", "keep = offs_n < length", "keep = offs_n <= length",
     f"{ATTENTION}::test_accurate"),
    (f"{KERNELS}/attention.py", "scale = 1 / sqrt(width) if", "scale = 1 / width if",
     f"{ATTENTION}::test_accurate"),
    (f"{KERNELS}/attention_forward.py", "acc * alpha[:, None]", "acc",
     f"{ATTENTION}::test_accurate"),
    (f"{KERNELS}/attention_forward.py", "l = l * alpha +", "l = l +",
     f"{ATTENTION}::test_lse"),
    (f"{KERNELS}/attention_forward.py", "(m + tl.log2(l)) * LN_2", "m + tl.log2(l)",
     f"{ATTENTION}::test_worked_example"),
    (f"{KERNELS}/attention_forward.py", "range(0, length, BLOCK_N)",
     "range(0, length - BLOCK_N + 1, BLOCK_N)", f"{ATTENTION}::test_accurate"),
    (f"{KERNELS}/attention_backward.py", "range(0, length, BLOCK_M)",
     "range(0, length - BLOCK_M + 1, BLOCK_M)", f"{ATTENTION}::test_accurate"),
    # rows with nothing in them
    (f"{KERNELS}/attention_forward.py", "l = tl.where(empty, 1.0, l)", "pass",
     f"{ATTENTION}::test_a_text_without_keys"),
    (f"{KERNELS}/attention_forward.py", 'tl.where(empty, float("-inf"), (m + tl.log2(l)) * LN_2)',
     "(m + tl.log2(l)) * LN_2", f"{ATTENTION}::test_lse_of_an_empty_query"),
    (f"{KERNELS}/attention_backward.py",
     'tl.where(lse == float("-inf"), float("inf"), lse) * LOG2_E', "lse * LOG2_E",
     f"{ATTENTION}::test_a_text_without_keys"),
    (f"{KERNELS}/attention_backward.py", "dk = tl.where(keep[:, None], dk * scale, 0.0)",
     "dk *= scale", f"{ATTENTION}::test_what_stands_at_a_masked_key_reaches_nothing"),
    # gradients
    (f"{KERNELS}/attention_backward.py", "dk * scale", "dk", f"{ATTENTION}::test_accurate"),
    (f"{KERNELS}/attention_backward.py", "p * (dp - delta[:, None])", "p * dp",
     f"{ATTENTION}::test_accurate"),
    # dropout: forgotten by a kernel of the backward, by its scale, the same in every head
    (f"{KERNELS}/attention_backward.py", "offs_m[None, :], offs_n[:, None], dropout_p)",
     "offs_m[None, :], offs_n[:, None], 0.0)",
     f"{ATTENTION}::test_dropout_spares_the_weights_of_the_specification"),
    (f"{KERNELS}/attention_backward.py", "offs_m[:, None], offs_n[None, :], dropout_p)",
     "offs_m[:, None], offs_n[None, :], 0.0)",
     f"{ATTENTION}::test_dropout_spares_the_weights_of_the_specification"),
    (f"{KERNELS}/attention_backward.py", "dv * dropout_scale", "dv",
     f"{ATTENTION}::test_dropout_spares_the_weights_of_the_specification"),
    (f"{KERNELS}/attention_forward.py", "(head << 32) |", "",
     f"{ATTENTION}::test_dropout_spares_the_weights_of_the_specification"),
    (f"{KERNELS}/philox.py", "high0 ^ c3 ^ key[1]", "high0 ^ c3 ^ key[0]",
     "tests/kernels/test_philox.py"),
    (f"{KERNELS}/attention_forward.py", "(tl.load(seed_ptr) & 0xFFFFFFFF)", "tl.load(seed_ptr)",
     f"{ATTENTION}::test_of_the_seed_32_bits_count"),
    # ranges: a maximum that starts too high, a product in half precision
    (f"{KERNELS}/attention_forward.py", "tl.constexpr(-3.0e38)", "tl.constexpr(-1.0e6)",
     f"{ATTENTION}::test_scores_far_below_0"),
    (f"{KERNELS}/attention_backward.py", "c.to(tl.float32) * dc.to(tl.float32)",
     "(c * dc).to(tl.float32)", f"{ATTENTION}::test_large_values_in_half_precision"),
    # memory: wrong strides, past the end
    (f"{KERNELS}/attention_forward.py", "offs_kv, stride_vs", "offs_kv, stride_ks",
     f"{ATTENTION}::test_the_inputs_may_lie_anywhere_in_memory"),
    (f"{KERNELS}/attention_backward.py", "begin * stride_dcs) * UNIT\n    dkey_ptr",
     "begin * stride_qs) * UNIT\n    dkey_ptr",
     f"{ATTENTION}::test_the_inputs_may_lie_anywhere_in_memory"),
    (f"{KERNELS}/attention_backward.py", "offs_qc, stride_dcs * UNIT", "offs_qc, stride_qs * UNIT",
     f"{ATTENTION}::test_the_gradient_may_lie_anywhere_in_memory"),
    (f"{KERNELS}/attention_forward.py", "lse, mask=inside)", "lse)",
     f"{ATTENTION}::test_accurate"),
    (f"{KERNELS}/attention_backward.py", "mask=offs_m < length, other=float(\"inf\")", "",
     f"{ATTENTION}::test_accurate"),
    (f"{KERNELS}/attention.py", "-key_mask.shape[1] % block", "0",
     f"{ATTENTION}::test_accurate"),
    (f"{KERNELS}/attention_forward.py", "k = load_rows(key_ptr, offs_kv",
     "k = load_rows(key_ptr, offs_n", f"{ATTENTION}::test_accurate"),
    (f"{KERNELS}/attention_forward.py", "h * stride_lh + begin", "h * stride_lh",
     f"{ATTENTION}::test_accurate"),
    # traffic: nothing computed changes, only how often values are read
    (f"{KERNELS}/attention_forward.py", "offs_n, stride_vs * UNIT, keep, K, BLOCK_K)",
     "offs_kv, stride_vs * UNIT, None, K, BLOCK_K)", f"{ATTENTION}::test_traffic"),
    # the other kernels
    (f"{KERNELS}/softmax.py", "y = tl.where(keep, y, 0.0)", "pass",
     "tests/kernels/test_softmax.py::test_law[empty_row]"),
    (f"{KERNELS}/softmax.py", "x - tl.max(x, 0)", "x",
     "tests/kernels/test_softmax.py::test_law[extreme]"),
    (f"{KERNELS}/softmax.py", "y * (dy - tl.sum(y * dy, 0))", "y * dy",
     "tests/kernels/test_softmax.py::test_law[accurate]"),
    (f"{KERNELS}/add_layer_norm.py", "deviation = tl.where(keep, t - tl.sum(t, 0) / D, 0.0)",
     "deviation = t - tl.sum(t, 0) / D",
     "tests/kernels/test_add_layer_norm.py::test_law[mean_0_variance_1]"),
    (f"{KERNELS}/add_layer_norm.py", "deviation - tl.sum(deviation, 0) / D", "deviation",
     "tests/kernels/test_add_layer_norm.py::test_rows_far_from_0"),
    (f"{KERNELS}/add_layer_norm.py", "xhat * (tl.sum(g * xhat, 0) / D)", "0.0",
     "tests/kernels/test_add_layer_norm.py::test_law[accurate]"),
    (f"{KERNELS}/add_layer_norm.py", "dweight += dy * xhat", "dweight = dy * xhat",
     "tests/kernels/test_add_layer_norm.py::test_more_rows_than_programs"),
    (f"{KERNELS}/linear_gelu.py", "0.5 * (1.0 + tl.erf(z * 0.7071067811865476))",
     "1.0 / (1.0 + tl.exp(-1.702 * z))", "tests/kernels/test_linear_gelu.py::test_worked_example"),
    (f"{KERNELS}/linear_gelu.py", "dy * (normal_cdf(z) + z * density)", "dy * normal_cdf(z)",
     "tests/kernels/test_linear_gelu.py::test_law[accurate]"),
    (f"{KERNELS}/linear_gelu.py", "with torch.autocast(x.device.type, enabled=False):", "if True:",
     f"{AUTOCAST}[linear_gelu]"),
    (f"{KERNELS}/embedding_layer_norm.py", "normalise_backward(xhat, rstd, weight * dy, D)",
     "weight * dy * rstd", "tests/kernels/test_embedding_layer_norm.py::test_law[accurate]"),
    (f"{KERNELS}/embedding_layer_norm.py", "dbias += dy", "dbias = dy",
     "tests/kernels/test_embedding_layer_norm.py::test_more_tokens_than_programs"),
    (f"{KERNELS}/embedding_layer_norm.py", "else padding_idx % V", "else padding_idx",
     "tests/kernels/test_embedding_layer_norm.py::test_padding_counted_from_the_end"),
    (f"{KERNELS}/embedding_layer_norm.py",
     "input_ids.contiguous(), position_ids.contiguous(), word, position, weight, bias, y",
     "input_ids, position_ids.contiguous(), word, position, weight, bias, y",
     f"{LAYOUTS}[embedding_layer_norm]"),
    (f"{KERNELS}/sum_rows_by_id.py", "(row != padding_idx) & ", "",
     "tests/kernels/test_embedding_layer_norm.py::test_law[padding_learns_nothing]"),
    (f"{KERNELS}/sum_rows_by_id.py", "acc += tl.sum", "acc = tl.sum",
     "tests/kernels/test_embedding_layer_norm.py::test_an_id_of_more_rows_than_a_tile"),
    (f"{KERNELS}/sum_rows_by_id.py", "(row != previous) & ", "",
     "tests/kernels/test_embedding_layer_norm.py::test_law[accurate]"),
    (f"{KERNELS}/cross_entropy.py", "l = l * tl.exp(m - m_new) +", "l = l +",
     "tests/kernels/test_cross_entropy.py::test_the_vocabulary_of_distilbert"),
    (f"{KERNELS}/cross_entropy.py", "(labels != ignore_index).sum()", "labels.numel()",
     "tests/kernels/test_cross_entropy.py::test_worked_example"),
    (f"{KERNELS}/cross_entropy.py", "labels.contiguous(), losses", "labels, losses",
     f"{LAYOUTS}[cross_entropy]"),
    (f"{KERNELS}/cross_entropy.py", "(label >= 0) & (label < V)", "label < V",
     "tests/kernels/test_cross_entropy.py::test_a_label_that_is_no_column_on_a_gpu"),
    (f"{KERNELS}/linear_cross_entropy.py", "(l * (m - m_row).exp())", "l",
     "tests/kernels/test_linear_cross_entropy.py::test_more_columns_than_a_slice"),
    (f"{KERNELS}/linear_cross_entropy.py", "offs_v = first + offs_chunk", "offs_v = offs_chunk",
     "tests/kernels/test_linear_cross_entropy.py::test_more_columns_than_a_slice"),
    (f"{KERNELS}/linear_cross_entropy.py",
     "with torch.autocast(hidden.device.type, enabled=False):", "if True:",
     f"{AUTOCAST}[linear_cross_entropy]"),
    (f"{KERNELS}/distillation_loss.py", "temperature**2 / max", "temperature / max",
     "tests/kernels/test_distillation_loss.py::test_worked_example"),
    (f"{KERNELS}/distillation_loss.py", "* inverse_T * (q - p)", "* (q - p)",
     "tests/kernels/test_distillation_loss.py::test_law[accurate]"),
    (f"{KERNELS}/distillation_loss.py", "tl.log(l_s / l_t)", "(tl.log(l_s) - tl.log(l_t))",
     "tests/kernels/test_distillation_loss.py::test_a_student_close_to_its_teacher"),
    (f"{KERNELS}/cosine_loss.py", "(tl.load(b_ptr + row) * s - t)", "(s - t)",
     "tests/kernels/test_cosine_loss.py::test_law[accurate]"),
    # the lab: what would otherwise find faults, and count, in silence
    (f"{KERNELS}/lab/meter.py", "active * access.size)", "(active + access.masked) * access.size)",
     f"{LAB}/test_meter.py::test_copy"),
    (f"{KERNELS}/lab/meter.py", "int(np.count_nonzero(cells))", "cells.size",
     f"{LAB}/test_meter.py::test_unique_bytes_of_views_that_share_a_storage"),
    (f"{KERNELS}/lab/memory.py", "access.highest + access.size > self", "access.highest > self",
     f"{LAB}/test_memory.py::test_the_elements_a_view_skips_are_out_of_bounds"),
    (f"{KERNELS}/lab/memory.py", '"store": ("store", "load", "atomic")',
     '"store": ("load", "atomic")',
     f"{LAB}/test_memory.py::test_two_programs_that_store_the_same_value_race"),
    (f"{KERNELS}/lab/bf16.py", "bits + 0x7FFF + odd", "bits",
     f"{LAB}/test_bf16.py::test_patterns_and_values_by_hand"),
    (f"{KERNELS}/lab/undefined.py", "other is None and", "False and",
     f"{LAB}/test_undefined.py::test_a_sum_over_masked_lanes"),
    (f"{KERNELS}/lab/cells.py", "block.split()", "pass",
     f"{LAB}/test_memory.py::test_each_its_byte_of_one_element"),
    # the conformance suite: what would otherwise let wrong functions pass
    (f"{KERNELS}/testing/report.py", "for case in self.hard", "for case in ()",
     "tests/kernels/testing/test_attention.py::test_is_refused"),
    (f"{KERNELS}/testing/accuracy.py", "upstream_of(outputs[0], layout)", "upstream_of(outputs[0])",
     "tests/kernels/testing/test_softmax.py::test_no_law_is_empty[any_upstream]"),
]  # fmt: skip


def path_in(root: Path, file: str) -> Path:
    return root / ("" if file.startswith("kernels/") else "minidistil") / file


def test_what_is_broken_stands_in_the_library():
    """Quick, so that whoever rewrites a line hears at once that a mutant was of it."""
    for file, old, _, tests in MUTANTS:
        times = path_in(ROOT, file).read_text(encoding="utf-8").count(old)
        assert times == 1, f"{old!r} stands {times} times in {file}"
        path, _, name = tests.partition("::")
        text = (ROOT / path).read_text(encoding="utf-8")
        assert f"def {name.partition('[')[0]}(" in text or not name, tests


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "old", "new", "tests"), MUTANTS, ids=[f"{m[0]}-{i}" for i, m in enumerate(MUTANTS)]
)
def test_the_suite_notices(file, old, new, tests, tmp_path):
    ignore = shutil.ignore_patterns("__pycache__")
    for folder in ("minidistil", "tests", "kernels"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    path = path_in(tmp_path, file)
    source = path.read_text(encoding="utf-8")
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
