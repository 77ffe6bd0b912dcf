"""Time and memory of loading a 66 M-parameter checkpoint, and of `import minidistil`.

    python -m tests.benchmarks.loading

The floor is what no loader can do without: `safetensors.torch.load_file` and the construction of
the modules on the meta device. Memory is the peak of a fresh process above what it held after
imports, with every byte of the weights read. Nothing is asserted.
"""

import statistics
import subprocess
import sys
import tempfile
import time

import safetensors.torch
import torch

import minidistil

PAIRS = 30
MEMORY = """
import sys, torch, minidistil, safetensors.torch
torch.ones(999).sum()
def held(key):
    lines = open("/proc/self/status").read().splitlines()
    return [int(line.split()[1]) for line in lines if line.startswith(key)][0] / 1e3
model_class = minidistil.DistilBertModel
from minidistil.checkpoints import loading
before = held("VmRSS")
model = model_class.from_pretrained(sys.argv[1])
total = sum(float(p.detach().sum()) for p in model.parameters())
weights = sum(p.numel() * 4 for p in model.parameters()) / 1e6
print(f"peak {held('VmHWM') - before:.0f} MB for {weights:.0f} MB of weights")
"""
IMPORT = """
import time
start = time.perf_counter(); import torch
middle = time.perf_counter()
from minidistil import DistilBertModel, DistilBertTokenizer, pipeline
end = time.perf_counter()
print(f"import torch {middle - start:.2f} s, then minidistil {end - middle:.2f} s")
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        minidistil.DistilBertModel(minidistil.DistilBertConfig()).save_pretrained(folder)

        def floor():
            weights = safetensors.torch.load_file(f"{folder}/model.safetensors")
            with torch.device("meta"):
                return weights, minidistil.DistilBertModel(minidistil.DistilBertConfig())

        def load():
            return minidistil.DistilBertModel.from_pretrained(folder)

        times = []
        for pair in range(PAIRS + 2):
            measured = {}
            for run in (floor, load) if pair % 2 else (load, floor):
                start = time.perf_counter()
                result = run()
                measured[run] = time.perf_counter() - start
                del result
            times.append((measured[floor], measured[load]))
        times = times[2:]
        ratios = [t[1] / t[0] for t in times]
        print(
            f"floor {statistics.median(t[0] for t in times) * 1e3:.1f} ms, "
            f"from_pretrained {statistics.median(t[1] for t in times) * 1e3:.1f} ms, "
            f"ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        )
        for program, arguments in ((MEMORY, [folder]), (IMPORT, [])):
            subprocess.run([sys.executable, "-c", program, *arguments], check=True)


if __name__ == "__main__":
    main()
