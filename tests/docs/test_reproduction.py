"""The page of the reproduction shows what its script prints, and the script knows the models."""

import subprocess
import sys
from pathlib import Path

import torch

from minidistil import DistilBertConfig, DistilBertForMaskedLM

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "docs" / "tools" / "reproduction.py"


def test_the_page_shows_what_the_script_prints():
    printed = subprocess.run(
        [sys.executable, SCRIPT], capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() in (ROOT / "docs" / "reproduction.md").read_text(encoding="utf-8")


def test_the_parameters_are_those_of_the_models():
    source = SCRIPT.read_text(encoding="utf-8")
    with torch.device("meta"):
        student = DistilBertForMaskedLM(DistilBertConfig()).num_parameters()
        large = DistilBertForMaskedLM(DistilBertConfig(n_layers=12)).num_parameters()
    # BERT has two segment vectors more.
    assert f"= {student:_}, {large + 2 * 768:_}  #" in source
