"""What can be read in a compiled kernel without running it.

NVIDIA's machine code is SASS; `cuobjdump`, which Triton's wheel brings along, prints it and the
resources beside it. AMD's assembly text carries the same figures at its end.

Counts are static: an instruction in a loop counts once, however often it runs.

| Read            | NVIDIA                          | AMD                                   |
|-----------------|---------------------------------|---------------------------------------|
| registers       | REG                             | .vgpr_count                           |
| stack           | STACK (bytes a thread)          | .private_segment_fixed_size           |
| local accesses  | LDL, STL: spilled values moving | scratch_load, scratch_store           |
| tensor cores    | HMMA, HGMMA, UTCHMMA, ...       | v_mfma_...                            |
| global accesses | LDG, STG, LDGSTS (to shared)    | global_/buffer_ load and store        |
| bulk copies     | UTMALDG, UTMASTG (TMA)          | none                                  |

Source: NVIDIA, CUDA Binary Utilities (the instruction sets); LLVM, User Guide for AMDGPU Backend
(the metadata).
"""

import re
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from triton import knobs

WIDE = 128  # bits: the widest load or store of one thread that every target has

# "/*0260*/ @P1 LDG.E.U16 R5, [R10.64]": the offset, a predicate, then what is wanted.
SASS = re.compile(r"^\s+/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)", re.MULTILINE)
RESOURCES = re.compile(r"REG:(\d+) STACK:(\d+)")
AMD_ACCESS = re.compile(r"^\s+(?:global|buffer)_(?:load|store)_(?:lds_)?(\w+)", re.MULTILINE)
AMD_BITS = {"dword": 32, "dwordx2": 64, "dwordx3": 96, "dwordx4": 128}


@dataclass(frozen=True)
class MachineCode:
    """Figures read in one kernel's machine code.

    Attributes:
        text: The assembly itself.
        registers: 32-bit registers a thread (255 is the most there are on NVIDIA).
        stack: Bytes a thread keeps in memory because its registers did not suffice.
        local_accesses: Instructions that load from or store to those bytes.
        tensor_core: Matrix instructions. Their sizes differ between targets: 8 on sm_90 can do
            the work of 64 on sm_80.
        global_accesses: Number of loads and stores of global memory by width in bits.
        bulk_copies: Copies of whole tiles by the tensor memory accelerator (TMA).
    """

    text: str
    registers: int
    stack: int
    local_accesses: int
    tensor_core: int
    global_accesses: dict[int, int]
    bulk_copies: int

    @property
    def wide_share(self) -> float | None:
        """Share of the global accesses that are at least 128 bits wide; None without any.

        A bulk copy counts as one. To three decimals, because it is written down and compared.
        """
        total = self.bulk_copies + sum(self.global_accesses.values())
        wide = self.bulk_copies + sum(n for bits, n in self.global_accesses.items() if bits >= WIDE)
        return round(wide / total, 3) if total else None


def read_nvidia(cubin: bytes) -> MachineCode:
    """Disassemble a cubin and count.

    Raises:
        FileNotFoundError: Triton's installation has no cuobjdump.
        ValueError: cuobjdump cannot read the cubin.
    """
    try:
        cuobjdump = knobs.nvidia.cuobjdump.path
    except RuntimeError as error:
        raise FileNotFoundError(
            "cuobjdump, which Triton's Linux wheels bring along, is missing here; install the CUDA "
            "toolkit's and set TRITON_CUOBJDUMP_PATH to it, or ask for the target gfx942"
        ) from error
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "kernel.cubin")
        path.write_bytes(cubin)
        run = subprocess.run(
            [cuobjdump, "-res-usage", "-sass", path], capture_output=True, text=True, check=False
        )
    resources = RESOURCES.search(run.stdout)
    if resources is None:
        raise ValueError(f"cuobjdump does not read the compiled kernel: {run.stderr.strip()}")
    return count_sass(run.stdout, *map(int, resources.groups()))


def count_sass(text: str, registers: int, stack: int) -> MachineCode:
    """Count the instructions of `text`, as cuobjdump prints it."""
    names: Counter[str] = Counter()
    widths: Counter[int] = Counter()
    for instruction in SASS.findall(text):
        name, *modifiers = instruction.split(".")
        names[name] += 1
        if name in {"LDG", "STG", "LDGSTS"}:
            widths[_sass_bits(modifiers)] += 1
    return MachineCode(
        text,
        registers,
        stack,
        local_accesses=names["LDL"] + names["STL"],
        # The name, not its modifiers: HFMA2.MMA is no matrix instruction.
        tensor_core=sum(n for name, n in names.items() if name.endswith("MMA")),
        global_accesses=dict(sorted(widths.items(), reverse=True)),
        bulk_copies=names["UTMALDG"] + names["UTMASTG"],
    )


def _sass_bits(modifiers: list[str]) -> int:
    # Whole modifiers are compared: LTC128B in LDG.E.LTC128B speaks of the cache, not the width.
    for modifier in modifiers:
        if modifier in {"U8", "S8", "U16", "S16"}:
            return int(modifier[1:])
        if modifier in {"64", "128", "256"}:
            return int(modifier)
        if modifier == "ENL2":  # Blackwell's 256-bit load
            return 256
    return 32


def read_amd(assembly: str) -> MachineCode:
    """Count in AMD's assembly text.

    Raises:
        ValueError: It carries no kernel metadata.
    """

    def metadata(name: str) -> int:
        found = re.search(rf"\.{name}:\s+(\d+)", assembly)
        if found is None:
            raise ValueError(f"the compiled kernel's assembly has no .{name}")
        return int(found.group(1))

    widths = Counter(_amd_bits(kind) for kind in AMD_ACCESS.findall(assembly))
    return MachineCode(
        assembly,
        metadata("vgpr_count"),
        metadata("private_segment_fixed_size"),
        local_accesses=len(re.findall(r"^\s+scratch_(?:load|store)_", assembly, re.MULTILINE)),
        tensor_core=len(re.findall(r"^\s+v_mfma_", assembly, re.MULTILINE)),
        global_accesses=dict(sorted(widths.items(), reverse=True)),
        bulk_copies=0,
    )


def _amd_bits(kind: str) -> int:
    # Bytes and halfwords come signed, unsigned and for either half of a register.
    return AMD_BITS.get(kind) or (8 if "byte" in kind else 16)
