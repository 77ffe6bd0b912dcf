"""Speed of `prepare` against the `tokenizers` library alone, and its memory as the corpus grows.

    python -m tests.benchmarks.preparation VOCAB.txt TEXT.txt...

The texts are cut into paragraphs, or taken line by line, and repeated up to 10 and 200 MB; "once"
is all of them without a repetition, the hardest case, as it has the largest share of new words.
The library's time is `encode_batch_fast` of all lines, which are in memory already; that of
`prepare` begins with a file and ends with a finished folder. Memory is the peak of a fresh process
above what it held after imports. Runs go in turns; nothing is asserted.
"""

import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import tokenizers

from minidistil import DistilBertTokenizer
from minidistil.distillation import prepare

PAIRS = 5
MEMORY = """
import sys
from minidistil import DistilBertTokenizer
from minidistil.distillation import prepare
def held(key):
    lines = open("/proc/self/status").read().splitlines()
    return [int(line.split()[1]) for line in lines if line.startswith(key)][0] / 1e3
tokenizer = DistilBertTokenizer(sys.argv[1])
before = held("VmRSS")
prepare(sys.argv[2], tokenizer, sys.argv[3], progress=False)
print(f"{held('VmHWM') - before:.0f} MB above {before:.0f} MB")
"""


def write(path: Path, lines: Sequence[str], megabytes: float) -> Path:
    """Repeat lines up to a size, or write them once for 0."""
    size = 0
    with path.open("w", encoding="utf-8") as file:
        for line in cycle(lines) if megabytes else lines:
            size += file.write(line + "\n")
            if megabytes and size >= megabytes * 1e6:
                break
    return path


def measure(file: Path, tokenizer: DistilBertTokenizer, scratch: Path) -> str:
    """Wall and processor seconds of both, in turns."""
    backend = tokenizer.private_backend()
    lines = file.read_text(encoding="utf-8").split("\n")
    times: dict[str, list[tuple[float, float]]] = {"library": [], "prepare": []}
    for pair in range(PAIRS):
        for name in ("library", "prepare") if pair % 2 else ("prepare", "library"):
            wall, cpu = time.perf_counter(), time.process_time()
            if name == "library":
                backend.encode_batch_fast(lines)
            else:
                prepare(file, tokenizer, scratch / f"{file.stem}-{pair}", progress=False)
            times[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    ratios = [a[0] / b[0] for a, b in zip(times["library"], times["prepare"], strict=True)]
    size = file.stat().st_size / 1e6
    parts = [
        f"{name} {size / statistics.median(t[0] for t in values):.1f} MB/s "
        f"({statistics.median(t[1] for t in values):.2f} s of processor)"
        for name, values in times.items()
    ]
    spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    return f"{size:.0f} MB, {len(lines)} lines: {', '.join(parts)}, ratio {spread}"


def main() -> None:
    vocab, *files = sys.argv[1:]
    tokenizer = DistilBertTokenizer(vocab)
    texts = [Path(file).read_text(encoding="utf-8") for file in files]
    lines = [line for text in texts for line in text.split("\n")]
    paragraphs = [" ".join(p.split()) for text in texts for p in re.split(r"\n\s*\n", text)]
    print(f"tokenizers {tokenizers.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        for name, items in (("lines", lines), ("paragraphs", paragraphs)):
            for kind, size in (("10 MB", 10), ("once", 0)):
                file = write(scratch / f"{name}-{size}.txt", items, size)
                print(f"{name}, {kind}: {measure(file, tokenizer, scratch)}", flush=True)
        for size in (10, 200):
            file = write(scratch / f"memory-{size}.txt", paragraphs, size)
            arguments = [vocab, str(file), str(scratch / f"memory-{size}")]
            print(f"peak at {size} MB:", end=" ", flush=True)
            subprocess.run([sys.executable, "-c", MEMORY, *arguments], check=True)


if __name__ == "__main__":
    main()
