"""What stands beside a number, and what does not."""

import json
import platform

import torch

from minidistil.benchmark.machine import facts, installed


def test_what_matters_is_there():
    found = facts()
    assert found["threads"] == torch.get_num_threads() and found["device"] == "cpu"
    assert found["torch"] == torch.__version__
    assert found["cpu_capability"] and isinstance(found["bfloat16_products"], bool)


def test_no_name_and_no_path():
    text = json.dumps(facts())
    assert "/" not in text and (not platform.node() or platform.node() not in text)


def test_an_absent_package_has_no_version():
    assert installed("no-such-package") is None
