"""Print what the compiler makes of this package's kernels, on GPUs that are not there.

python -m minidistil_kernels.lab.ahead_of_time --target sm_80 --kernel softmax
"""

import argparse
import json
import os
import subprocess
import sys

import triton

from minidistil_kernels import interpreter
from minidistil_kernels.lab.ahead_of_time.catalogue import DTYPES, catalogue
from minidistil_kernels.lab.ahead_of_time.reporting import report, save_ceilings, table
from minidistil_kernels.lab.ahead_of_time.targets import TARGETS

CEILING_TARGETS = ("sm_80", "sm_90")


def main() -> int:
    """Parse the command line, compile, print."""
    parser = argparse.ArgumentParser(prog="python -m minidistil_kernels.lab.ahead_of_time")
    add = parser.add_argument
    add("--target", choices=TARGETS, action="append", help="may be repeated; sm_80 and sm_90")
    add("--dtype", choices=DTYPES, action="append", help="may be repeated; fp16")
    add("--kernel", default="", help="only cases with this in their name")
    add("--unhinted", action="store_true", help="nothing is known to be a multiple of 16")
    add("--json", action="store_true", help="print the rows as JSON")
    add("--save-ceilings", action="store_true", help="measure every case anew on sm_80 and sm_90")
    options = parser.parse_args()

    if interpreter.INTERPRETING:
        # Triton made Python functions of the kernels when this process imported them.
        environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
        command = [sys.executable, "-m", "minidistil_kernels.lab.ahead_of_time", *sys.argv[1:]]
        return subprocess.run(command, env=environment, check=False).returncode

    if options.save_ceilings:
        cases = [case for dtype in DTYPES for case in catalogue(dtype)]
        save_ceilings(report(cases, CEILING_TARGETS))
        return 0
    cases = [
        case
        for dtype in options.dtype or ["fp16"]
        for case in catalogue(dtype, hinted=not options.unhinted)
        if options.kernel in case.name
    ]
    if not cases:
        parser.error(f"no case has {options.kernel!r} in its name")
    rows = report(cases, options.target or CEILING_TARGETS)
    if options.json:
        print(json.dumps({"triton": triton.__version__, "rows": rows}))
    else:
        print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
