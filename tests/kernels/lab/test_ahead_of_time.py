"""The ahead-of-time report, in processes that compile: the kernels' figures and their ceilings."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import triton

import minidistil_kernels
from minidistil_kernels.lab.ahead_of_time import machine_code, reporting
from minidistil_kernels.lab.ahead_of_time.targets import TARGETS, Limits, resident_blocks

A100, H100 = TARGETS["sm_80"].limits, TARGETS["sm_90"].limits
PACKAGE = Path(minidistil_kernels.__file__).parent
DOCS = Path(__file__).parents[3] / "docs" / "kernels.md"
COMMAND = ("-m", "minidistil_kernels.lab.ahead_of_time")
Row = dict[str, Any]


def run(*arguments: str | Path, interpret: bool = False) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)
    if interpret:
        environment["TRITON_INTERPRET"] = "1"
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False
    )


def rows_of(*arguments: str) -> list[Row]:
    done = run(*COMMAND, "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["rows"]


@pytest.fixture(scope="module")
def half_rows() -> list[Row]:
    """Every kernel in fp16 on sm_80 and sm_90, hinted: what the quick suite compiles."""
    return rows_of("--dtype", "fp16")


@pytest.fixture(scope="module")
def seeded() -> dict[str, Any]:
    done = run(Path(__file__).with_name("seeded_kernels.py"))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assert_within_ceilings(rows: list[Row]) -> None:
    ceilings = reporting.load_ceilings()
    version = f"{triton.__version__} "
    if not any(key.startswith(version) for key in ceilings):
        pytest.skip(f"no ceilings were measured with triton {triton.__version__}")
    missing = [key for row in rows if (key := reporting.ceiling_key(row)) not in ceilings]
    assert not missing, "run the command with --save-ceilings"
    worse = {
        reporting.ceiling_key(row): reporting.worse_than_ceiling(row, ceilings) for row in rows
    }
    assert {key: names for key, names in worse.items() if names} == {}


def assert_tensor_cores_and_no_spills(rows: list[Row]) -> None:
    for row in rows:
        assert row["stack"] == row["local_accesses"] == 0, row
        assert row["tensor_core"] or not row["dots"], row


def test_every_kernel_has_a_case(half_rows):
    sources = "".join(path.read_text() for path in PACKAGE.glob("*.py"))
    kernels = set(re.findall(r"^def (\w+)_kernel\(", sources, re.MULTILINE))
    assert {row["case"].split()[0] for row in half_rows} == kernels | {"anchor_forward"}


def test_every_ceiling_has_a_case(half_rows):
    ceilings = reporting.load_ceilings()
    version = f"{triton.__version__} "
    pinned = {key for key in ceilings if key.startswith(version) and key.endswith(" fp16")}
    assert pinned <= {reporting.ceiling_key(row) for row in half_rows}


def test_half_precision_stays_within_its_ceilings(half_rows):
    assert_within_ceilings(half_rows)


def test_half_precision_spills_nothing_and_multiplies_on_tensor_cores(half_rows):
    assert_tensor_cores_and_no_spills(half_rows)


def test_every_block_fits_its_gpu(half_rows):
    assert all(row["resident_blocks"] >= 1 for row in half_rows)


def line_of_the_docs(a100: Row, h100: Row) -> str:
    name, _, variant = a100["case"].removesuffix(" fp16").partition(" ")
    mark = "*" if name == "anchor_forward" else "`"

    def both(key: str, form: str = "{}") -> str:
        return " / ".join(form.format(row[key]) for row in (a100, h100))

    cells = [f"{mark}{name}{mark} {variant}".strip(), both("registers"), both("stack")]
    cells += [both("resident_blocks"), both("wide_share", "{:.0%}")]
    return " | ".join(["", *cells, both("tensor_core") if a100["dots"] else "", ""]).strip()


@pytest.mark.skipif(triton.__version__ != "3.9.0", reason="docs/kernels.md has 3.9.0's figures")
def test_the_docs_have_these_figures(half_rows):
    _, section = DOCS.read_text(encoding="utf-8").split("\n## Compiled ahead of time\n")
    table = [line for line in section.splitlines() if re.match(r"\| [`*]\w+_", line)]
    expected = [
        line_of_the_docs(*pair) for pair in zip(half_rows[::2], half_rows[1::2], strict=True)
    ]
    assert sorted(table) == sorted(expected)


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("dtype", ["fp16", "bf16", "fp32"])
def test_the_full_matrix(dtype):
    targets = [part for target in TARGETS for part in ("--target", target)]
    hinted = rows_of("--dtype", dtype, *targets)
    unhinted = rows_of("--dtype", dtype, *targets, "--unhinted")
    pinned = [row for row in hinted if row["target"] in ("sm_80", "sm_90")]
    assert_within_ceilings(pinned)
    if dtype != "fp32":  # which has no tensor cores in IEEE precision
        assert_tensor_cores_and_no_spills(pinned)
    assert len(unhinted) == len(hinted)
    for known, unknown in zip(hinted, unhinted, strict=True):
        assert unknown["case"] == f"{known['case']} unhinted"
        assert (unknown["wide_share"] or 0) <= (known["wide_share"] or 0)


def test_a_row_is_read_128_bits_at_a_time_where_the_compiler_may(seeded):
    rows = seeded["rows"]
    assert rows["hinted sm_80"]["global_accesses"] == {"128": 4}
    assert rows["hinted sm_80"]["wide_share"] == 1.0
    assert rows["unhinted sm_80"]["global_accesses"] == {"16": 32}
    assert rows["unhinted sm_80"]["wide_share"] == 0.0
    # Its 4 warps are 256 threads: half as many accesses each.
    assert rows["hinted gfx942"]["global_accesses"] == {"128": 2}
    assert rows["unhinted gfx942"]["global_accesses"] == {"16": 16}


def test_a_spill_is_seen(seeded):
    row = seeded["rows"]["spilling sm_80"]
    assert row["stack"] > 0
    assert row["local_accesses"] > 0
    assert seeded["rows"]["hinted sm_80"]["stack"] == 0


def test_tensor_cores_are_seen(seeded):
    rows = seeded["rows"]
    for name in ("half dot", "ieee dot", "tf32 dot"):
        assert rows[f"{name} sm_80"]["dots"] == 1
    assert rows["half dot sm_80"]["tensor_core"] > 0
    assert rows["tf32 dot sm_80"]["tensor_core"] > 0
    assert rows["ieee dot sm_80"]["tensor_core"] == 0
    assert rows["half dot gfx942"]["tensor_core"] > 0
    assert rows["hinted sm_80"]["dots"] == rows["hinted sm_80"]["tensor_core"] == 0


def test_what_amd_does_not_tell_is_none(seeded):
    row = seeded["rows"]["hinted gfx942"]
    assert row["resident_blocks"] is row["limiter"] is None
    assert row["registers"] > 0
    assert row["shared"] > 0


def test_a_recorded_launch_says_what_triton_would_see(seeded):
    even, odd, one = (seeded["launches"][name] for name in ("even", "odd", "one"))
    assert even["signature"] == {"x_ptr": "*fp32", "y_ptr": "*fp32", "stride": "i32"}
    assert even["constants"] == {"BLOCK": 64}
    assert even["num_warps"] == 2
    assert even["divisible_by_16"] == ["stride", "x_ptr", "y_ptr"]
    assert odd["divisible_by_16"] == ["x_ptr", "y_ptr"]
    assert one["constants"] == {"BLOCK": 64, "stride": 1}


def test_wide_accesses_are_promised_only_where_memory_begins_at_16_bytes(seeded):
    """Of a view into a tensor too: whatever strides say, Triton looks at the address."""
    shifted, aligned = (seeded["launches"][name] for name in ("shifted", "aligned"))
    assert shifted["divisible_by_16"] == ["stride"]
    assert aligned["divisible_by_16"] == ["stride", "x_ptr", "y_ptr"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "arguments",
            r"ValueError: wrong: .* x_ptr, y_ptr, stride, BLOCK; .*\['step'\].*\['stride'\]",
        ),
        ("target", r"ValueError: target 'sm_75' is not one of sm_80, .*gfx942"),
        ("cuobjdump", r"FileNotFoundError: cuobjdump.*TRITON_CUOBJDUMP_PATH"),
    ],
)
def test_errors_name_the_way_out(seeded, name, message):
    assert re.match(message, seeded["errors"][name])


def test_interpreted_kernels_are_refused():
    done = run(Path(__file__).with_name("seeded_kernels.py"), interpret=True)
    errors = json.loads(done.stdout)
    assert re.match("TypeError: hinted: .*started without TRITON_INTERPRET", errors["compile"])
    assert re.match("TypeError: .*started without TRITON_INTERPRET", errors["record"])


def test_the_command_leaves_the_interpreter_by_itself():
    arguments = (*COMMAND, "--target", "sm_80", "--kernel", "softmax_backward")
    table = run(*arguments, interpret=True)
    assert table.returncode == 0, table.stderr
    header, *rows, note = table.stdout.splitlines()
    assert header.split()[:3] == ["case", "target", "regs"]
    assert [row.split()[:3] for row in rows] == [["softmax_backward", "fp16", "sm_80"]]
    assert "never a speed" in note
    assert table.stdout == run(*arguments).stdout


def test_the_command_refuses_a_kernel_it_does_not_know():
    done = run(*COMMAND, "--kernel", "convolution")
    assert done.returncode == 2
    assert "no case has 'convolution' in its name" in done.stderr


@pytest.mark.parametrize(
    ("limits", "figures", "expected"),
    [
        # 143 * 32 = 4576, in units of 256: 4608 a warp. A quarter of the SM has 16384: 3 warps.
        # 12 warps on the SM are 3 blocks of 4.
        (A100, {"registers": 143, "shared": 24576, "warps": 4}, (3, "registers")),
        # 65536 / (129 * 32) would be 15 warps, but a quarter has room for 3 of 4352, not 3.75.
        (A100, {"registers": 129, "shared": 0, "warps": 1}, (12, "registers")),
        # 48 KiB and the reserved 1 KiB: 4 times in 228, 3 times in 164.
        (H100, {"registers": 32, "shared": 49152, "warps": 4}, (4, "shared memory")),
        (A100, {"registers": 32, "shared": 49152, "warps": 4}, (3, "shared memory")),
        (A100, {"registers": 16, "shared": 0, "warps": 4}, (16, "threads")),
        (A100, {"registers": 16, "shared": 0, "warps": 1}, (32, "blocks")),
        (
            A100,
            {"registers": 16, "shared": 0, "warps": 4, "tensor_columns": 256},
            (2, "tensor memory"),
        ),
        (A100, {"registers": 32, "shared": 200_000, "warps": 4}, (0, "shared memory")),
    ],
)
def test_resident_blocks(limits: Limits, figures: dict[str, int], expected: tuple[int, str]):
    assert resident_blocks(limits, **figures) == expected


def test_sass_is_counted_by_whole_words():
    lines = [
        "LDG.E.LTC128B R5, [R8.64]",  # 128 bytes of cache, 32 bits of data
        "@!P0 LDG.E.LTC128B.128 R4, [R8.64]",
        "@P1 LDGSTS.E.BYPASS.128 [R3], [R8.64]",
        "LDG.E.ENL2.256 R4, [R8.64]",
        "STG.E.U16 desc[UR12][R2.64+0x300], R0",
        "STG.E.64 [R2.64], R6",
        "HMMA.16816.F32 R4, R8, R6, R4",
        "HFMA2.MMA R5, -RZ, RZ, 0, 0",  # adds halves, no matrix
        "LDL.64 R2, [R1]",
        "@UP0 UTMALDG.2D [UR8], [UR4]",
        "UTMACCTL.IV [UR4]",
    ]
    text = "".join(f"        /*{16 * i:04x}*/    {line} ;\n" for i, line in enumerate(lines))
    code = machine_code.count_sass(text, registers=40, stack=8)
    assert code.global_accesses == {256: 1, 128: 2, 64: 1, 32: 1, 16: 1}
    assert code.wide_share == 0.571  # 3 of 6, and the bulk copy: 4 of 7
    assert (code.tensor_core, code.local_accesses, code.bulk_copies) == (1, 1, 1)


def test_a_row_worse_than_its_ceiling_is_named():
    row = {
        "target": "sm_80",
        "case": "c fp16",
        "registers": 80,
        "stack": 0,
        "shared": 64,
        "wide_share": 0.5,
        "resident_blocks": 6,
    }
    limits = row | {"registers": 72, "wide_share": 1.0}
    assert reporting.worse_than_ceiling(row, {reporting.ceiling_key(row): limits}) == [
        "registers 80 > 72",
        "wide_share 0.5 < 1.0",
    ]
    assert reporting.worse_than_ceiling(row, {reporting.ceiling_key(row): row}) == []
    assert reporting.worse_than_ceiling(row, {}) == []
