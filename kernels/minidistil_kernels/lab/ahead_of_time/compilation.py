"""A kernel, what a launch would pass to it, and the compile of both for a GPU that is not there.

At a launch Triton looks at the arguments and compiles for what it finds: their types, the values of
constants, and which pointers and integers are multiples of 16. A `Case` says all that in advance.
The last point is a promise to the compiler: only a row that starts at a multiple of 16 bytes can be
read 128 bits at a time, so a missing multiple costs wide accesses and often registers.

Not here: integers that equal 1 (Triton makes constants of them: write those into `constants`).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import triton
from triton.compiler import ASTSource
from triton.runtime.jit import JITFunction

from minidistil_kernels.lab.ahead_of_time.machine_code import MachineCode, read_amd, read_nvidia
from minidistil_kernels.lab.ahead_of_time.targets import find_target, resident_blocks


@dataclass(frozen=True)
class Case:
    """A kernel and what Triton would see at a launch of it.

    Attributes:
        name: To find it by in the report.
        kernel: Decorated with `@triton.jit`.
        signature: Type of each run-time argument in Triton's spelling: "*fp16", "i32", "fp32".
        constants: Value of each `tl.constexpr`, and of each argument passed as None.
        num_warps: Warps (of 32 threads, on AMD 64) a block.
        num_stages: Depth of the software pipeline of loops.
        divisible_by_16: The pointers and integers that are multiples of 16; None: all of them.
    """

    name: str
    kernel: JITFunction[Any]
    signature: Mapping[str, str]
    constants: Mapping[str, Any]
    num_warps: int = 4
    num_stages: int = 3
    divisible_by_16: Collection[str] | None = None

    def source(self) -> ASTSource:
        """What Triton's compiler starts from.

        Raises:
            TypeError: The kernel is not one that Triton compiles.
            ValueError: The names in the case are not those of the kernel's arguments.
        """
        if not isinstance(self.kernel, JITFunction):
            raise TypeError(
                f"{self.name}: {self.kernel!r} cannot be compiled; it has to be decorated with "
                "@triton.jit in a process started without TRITON_INTERPRET, whose kernels are "
                "plain Python functions"
            )
        names = self.kernel.arg_names
        hinted = self.divisible_by_16
        if hinted is None:
            hinted = [name for name, type_ in self.signature.items() if type_[0] in "*iu"]
        given = {*self.signature, *self.constants}
        if given != set(names) or not given.issuperset(hinted):
            unknown, missing = (given | set(hinted)) - set(names), set(names) - given
            raise ValueError(
                f"{self.name}: the arguments of {self.kernel.__name__} are {', '.join(names)}; "
                f"the case has too many: {sorted(unknown)}, too few: {sorted(missing)}"
            )
        return ASTSource(
            fn=self.kernel,
            signature={name: self.signature.get(name, "constexpr") for name in names},
            constexprs={(names.index(name),): value for name, value in self.constants.items()},
            attrs={(names.index(name),): [["tt.divisibility", 16]] for name in hinted},
        )


@dataclass(frozen=True)
class Compiled:
    """One case compiled for one target.

    Attributes:
        case: The name of the case.
        target: Such as "sm_80".
        code: What the machine code says, and the assembly itself.
        shared: Bytes of shared memory a block.
        dots: `tl.dot` in the kernel after inlining; on tensor cores or not.
        resident_blocks: How many blocks one SM holds; None where that is not known.
        limiter: What keeps it from holding one more.
    """

    case: str
    target: str
    code: MachineCode
    shared: int
    dots: int
    resident_blocks: int | None
    limiter: str | None

    def row(self) -> dict[str, Any]:
        """The figures as plain values, for a table or for JSON."""
        return {
            "case": self.case,
            "target": self.target,
            "registers": self.code.registers,
            "stack": self.code.stack,
            "local_accesses": self.code.local_accesses,
            "shared": self.shared,
            "dots": self.dots,
            "tensor_core": self.code.tensor_core,
            "wide_share": self.code.wide_share,
            "global_accesses": {str(bits): n for bits, n in self.code.global_accesses.items()},
            "bulk_copies": self.code.bulk_copies,
            "resident_blocks": self.resident_blocks,
            "limiter": self.limiter,
        }


def compile_ahead(case: Case, target: str) -> Compiled:
    """Compile `case` for `target` ("sm_80", ...: the keys of `TARGETS`); no GPU is needed.

    Raises:
        TypeError: The process interprets its kernels, or the kernel is none.
        ValueError: An unknown target, or a case that does not fit its kernel.
        FileNotFoundError: The tool that reads NVIDIA's machine code is missing.
    """
    gpu, limits = find_target(target)
    kernel = triton.compile(
        case.source(),
        target=gpu,
        # Fused multiply-add as both tested versions do by default; 3.9 warns where it is not said.
        options={
            "num_warps": case.num_warps,
            "num_stages": case.num_stages,
            "enable_fp_fusion": True,
        },
    )
    metadata = kernel.metadata
    if limits is None:
        code = read_amd(kernel.asm["amdgcn"])
        blocks, limiter = None, None
    else:
        code = read_nvidia(kernel.asm["cubin"])
        blocks, limiter = resident_blocks(
            limits,
            registers=code.registers,
            shared=metadata.shared,
            warps=metadata.num_warps,
            tensor_columns=metadata.tmem_size,
        )
    dots = kernel.asm["ttir"].count("tt.dot ")
    return Compiled(case.name, target, code, metadata.shared, dots, blocks, limiter)
