"""Engines that run a model of transformers without PyTorch: ONNX Runtime, OpenVINO, CTranslate2.

    transformers' model --torch.onnx.export--> ONNX --> ONNX Runtime, OpenVINO
                        --its converter------> CTranslate2

Each as its documentation says: what was chosen stands where it is chosen.

Source: https://onnxruntime.ai/docs/performance, https://docs.openvino.ai,
https://opennmt.net/CTranslate2.
Not here: what they have in common with the others (`peers.py`).
"""

import logging
from pathlib import Path
from typing import Any

import numpy as np

from minidistil.benchmark.peers import Peer
from minidistil.benchmark.saved import Saved
from minidistil.benchmark.work import Work

HINTS = {"float32": "f32", "bfloat16": "bf16"}  # OpenVINO's names
INT8 = "model-int8.onnx"


class _Arrays(Peer):
    """Abstract: a runtime that is given NumPy's arrays by name."""

    vocab_size: int

    def prepare(self, saved: Saved) -> None:
        """Export to ONNX."""
        saved.export_onnx()

    def inputs(self, work: Work) -> dict[str, np.ndarray]:
        ids, mask = work.padded(self.vocab_size)
        return {"input_ids": ids.numpy(), "attention_mask": mask.numpy()}


class OnnxRuntime(_Arrays):
    """ONNX Runtime, with all optimizations of its session.

    Args:
        dtype: "float32", or "int8": weights to int8, inputs of each product in the call
            (`quantize_dynamic`; the embeddings stay as they are).
    """

    needs = ("transformers", "onnx", "onnxscript", "onnxruntime")

    def __init__(self, dtype: str = "float32") -> None:
        self.dtype, self.name = dtype, f"ONNX Runtime {dtype}"

    def prepare(self, saved: Saved) -> None:
        """Export, and quantize if asked to."""
        super().prepare(saved)
        if self.dtype == "int8":
            _quantize(saved.onnx, saved.onnx.with_name(INT8))

    def load(self, saved: Saved) -> None:
        """Open a session."""
        import onnxruntime

        self.vocab_size = saved.config.vocab_size
        path = saved.onnx if self.dtype == "float32" else saved.onnx.with_name(INT8)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = saved.threads
        options.inter_op_num_threads = 1
        # Its idle threads would take the time of whoever runs next.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self.session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])

    def run(self, inputs: dict[str, np.ndarray]) -> Any:
        """The one output of the session."""
        return self.session.run(None, inputs)[0]


def _quantize(path: Path, target: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # It recommends a step for convolutions, on the root logger.
    logging.disable(logging.WARNING)
    try:
        quantize_dynamic(path, target, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul"])
    finally:
        logging.disable(logging.NOTSET)


class OpenVINO(_Arrays):
    """OpenVINO on the CPU, from the ONNX file.

    Args:
        dtype: "float32" or "bfloat16": a hint that the processor may not be able to follow.
    """

    needs = ("transformers", "onnx", "onnxscript", "openvino")

    def __init__(self, dtype: str = "float32") -> None:
        self.dtype, self.name = dtype, f"OpenVINO {dtype}"

    def load(self, saved: Saved) -> None:
        """Compile for one stream, which has all threads."""
        import openvino

        self.vocab_size = saved.config.vocab_size
        settings = {
            "INFERENCE_PRECISION_HINT": HINTS[self.dtype],
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": saved.threads,
            "NUM_STREAMS": 1,
        }
        model = openvino.Core().compile_model(saved.onnx, "CPU", settings)
        self.request = model.create_infer_request()

    def run(self, inputs: dict[str, np.ndarray]) -> Any:
        """The one output; a view of the engine's memory, valid until the next call."""
        return self.request.infer(inputs, share_inputs=True, share_outputs=True)[0]


class CTranslate2(Peer):
    """CTranslate2's encoder. It is given lists of ids, and takes out padding by itself.

    Args:
        dtype: "float32" or "int8".
    """

    needs = ("transformers", "ctranslate2")

    def __init__(self, dtype: str = "float32") -> None:
        self.dtype, self.name = dtype, f"CTranslate2 {dtype}"

    def prepare(self, saved: Saved) -> None:
        """Convert."""
        import ctranslate2

        converter = ctranslate2.converters.TransformersConverter(str(saved.folder))
        converter.convert(str(saved.folder / "ctranslate2"), force=True)

    def load(self, saved: Saved) -> None:
        """Open with a compute type."""
        import ctranslate2

        self.vocab_size = saved.config.vocab_size
        self.encoder = ctranslate2.Encoder(
            str(saved.folder / "ctranslate2"),
            device="cpu",
            compute_type=self.dtype,
            inter_threads=1,
            intra_threads=saved.threads,
        )

    def inputs(self, work: Work) -> list[list[int]]:
        """Lists of ids."""
        ids, _ = work.padded(self.vocab_size)
        return [row[:n] for row, n in zip(ids.tolist(), work.lengths, strict=True)]

    def run(self, inputs: list[list[int]]) -> Any:
        """Its own array, (B, S, D)."""
        return self.encoder.forward_batch(inputs).last_hidden_state
