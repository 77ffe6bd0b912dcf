"""`import minidistil` knows nothing of the ports and of their frameworks; in a fresh process."""

import subprocess
import sys

PROGRAM = """
import sys
import minidistil
for name in minidistil.__all__:
    getattr(minidistil, name)
import minidistil.cli
found = {"jax", "flax", "keras", "tensorflow", "minidistil.ports"} & sys.modules.keys()
assert not found, found
import minidistil.ports, minidistil.ports.outputs, minidistil.ports.weights
found = {"jax", "flax", "keras", "tensorflow"} & sys.modules.keys()
assert not found, found
"""


def test_nothing_but_a_port_imports_its_framework():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
