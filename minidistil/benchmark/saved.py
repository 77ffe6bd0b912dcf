"""One model with random weights, on disk in every form that an engine reads.

    config --write--> config.json, model.safetensors, tokenizer.json --export_onnx--> model.onnx

Not here: the engines (`peers.py`, `runtimes.py`).
"""

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from minidistil.benchmark.work import Work
from minidistil.config import DistilBertConfig
from minidistil.model import DistilBertModel
from minidistil.tokenization import DistilBertTokenizer

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


@dataclass(frozen=True)
class Saved:
    """One model with random weights, on disk in the forms that engines read.

    Args:
        folder: Empty; for all files.
        config: Of the model.
        threads: For every engine.
        device: For those that have one.
    """

    folder: Path
    config: DistilBertConfig
    threads: int
    device: str = "cpu"

    def write(self, seed: int = 0) -> None:
        """Write weights, config, and a tokenizer, without which CTranslate2 takes no model."""
        torch.manual_seed(seed)
        DistilBertModel(self.config).save_pretrained(self.folder)
        words = [*SPECIAL, *(f"word{i}" for i in range(len(SPECIAL), self.config.vocab_size))]
        vocab = {word: i for i, word in enumerate(words)}
        DistilBertTokenizer(vocab).save_pretrained(self.folder)

    def torch_model(self, attention: str, dtype: str) -> torch.nn.Module:
        """The encoder of transformers, in eval mode."""
        import transformers

        transformers.logging.disable_progress_bar()
        model: Any = transformers.DistilBertModel.from_pretrained(
            self.folder, attn_implementation=attention, dtype=getattr(torch, dtype)
        )
        return model.to(self.device).eval()

    @property
    def onnx(self) -> Path:
        """Where `export_onnx` writes."""
        return self.folder / "model.onnx"

    def export_onnx(self) -> None:
        """Write the encoder of transformers as ONNX, for any batch and length; once is enough."""
        if self.onnx.exists():
            return
        batch, length = torch.export.Dim("batch"), torch.export.Dim("length")
        names, axes = ("input_ids", "attention_mask"), {0: batch, 1: length}
        ids, mask = Work("", (5, 9)).padded(self.config.vocab_size)
        # The exporter warns and logs of what is its own affair.
        with warnings.catch_warnings(), torch.inference_mode(False):
            warnings.simplefilter("ignore")
            logging.getLogger("torch.onnx").setLevel(logging.ERROR)
            torch.onnx.export(
                _Encoder(self.torch_model("sdpa", "float32")),
                (ids, mask),
                self.onnx,
                input_names=[*names],
                output_names=["last_hidden_state"],
                dynamo=True,
                dynamic_shapes=dict.fromkeys(names, axes),
                verbose=False,
            )


class _Encoder(torch.nn.Module):
    """Hidden states as a tensor, and no record around them."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.model(input_ids, attention_mask=attention_mask).last_hidden_state
