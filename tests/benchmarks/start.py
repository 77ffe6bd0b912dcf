"""From the start of Python to the first answer: this library, transformers, ONNX Runtime.

    python -m tests.benchmarks.start

Each run is a fresh process that says how long its parts took: the import, the loading of a model of
DistilBERT's size with its tokenizer, the first sentence to its hidden states. ONNX Runtime has the
exported model and the `tokenizers` library. Processes go in turns, after one of each that fills the
system's file cache. Nothing is asserted.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from minidistil import DistilBertConfig, DistilBertModel, DistilBertTokenizer
from minidistil.assets import STUDENT
from minidistil.export import export

ROUNDS = 15
TEXT = "Small, honest and a joy to read."
FRAME = """
import json, sys, time
folder, text, parts = sys.argv[1], sys.argv[2], {{}}
def part(name, start):
    parts[name] = time.perf_counter() - start
start = time.perf_counter()
{first}
part("its import", start); start = time.perf_counter()
{then}
part("own import", start); start = time.perf_counter()
{load}
part("load", start); start = time.perf_counter()
{answer}
part("first answer", start)
print(json.dumps(parts))
"""
PROGRAMS = {
    "minidistil": {
        "first": "import torch",
        "then": "from minidistil import DistilBertModel, DistilBertTokenizer",
        "load": "tokenizer = DistilBertTokenizer.from_pretrained(folder)\n"
        "model = DistilBertModel.from_pretrained(folder).for_inference()",
        "answer": "with torch.inference_mode():\n"
        "    model(**tokenizer(text, return_tensors='pt')).last_hidden_state.numpy()",
    },
    "transformers": {
        "first": "import torch",
        "then": "from transformers import DistilBertModel, DistilBertTokenizerFast",
        "load": "tokenizer = DistilBertTokenizerFast.from_pretrained(folder)\n"
        "model = DistilBertModel.from_pretrained(folder)",
        "answer": "with torch.inference_mode():\n"
        "    model(**tokenizer(text, return_tensors='pt')).last_hidden_state.numpy()",
    },
    "ONNX Runtime": {
        "first": "import onnxruntime",
        "then": "import numpy, tokenizers",
        "load": "tokenizer = tokenizers.Tokenizer.from_file(folder + '/tokenizer.json')\n"
        "model = onnxruntime.InferenceSession(folder + '/model.onnx')",
        "answer": "found = tokenizer.encode(text)\n"
        "ids, mask = (numpy.array([x]) for x in (found.ids, found.attention_mask))\n"
        "model.run(None, {'input_ids': ids, 'attention_mask': mask})",
    },
}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        model = DistilBertModel(DistilBertConfig())
        model.save_pretrained(folder)
        DistilBertTokenizer.from_pretrained(STUDENT).save_pretrained(folder)
        export(model.eval(), Path(folder) / "model.onnx")
        taken = {name: [] for name in PROGRAMS}
        for round_ in range(ROUNDS + 1):
            for name, parts in PROGRAMS.items():
                command = [sys.executable, "-c", FRAME.format(**parts), folder, TEXT]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                if round_:
                    taken[name].append(json.loads(done.stdout.splitlines()[-1]))
    for name, runs in taken.items():
        columns = {part: [run[part] for run in runs] for part in runs[0]}
        columns["all"] = [sum(run.values()) for run in runs]
        columns["beyond its import"] = [sum(run.values()) - run["its import"] for run in runs]
        for part, times in columns.items():
            low, middle, high = statistics.quantiles(times, n=4)
            print(f"{name:12} {part:17} {middle:.3f} s ({low:.3f} to {high:.3f})")


if __name__ == "__main__":
    main()
