"""What of the machine must stand beside a number, or nobody can compare it.

Not here: names and paths, which are nobody's business.
"""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

PACKAGES = (
    "minidistil",
    "torch",
    "transformers",
    "onnxruntime",
    "openvino",
    "ctranslate2",
    "jax",
    "tensorflow-cpu",
    "tensorflow",
    "keras",
    "triton",
)


def installed(package: str) -> str | None:
    """The version of a package, None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def facts(device: str = "cpu") -> dict[str, Any]:
    """Processor, threads, versions and the device, ready for JSON.

    Args:
        device: Where the work was done.
    """
    found: dict[str, Any] = {
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else device,
        "architecture": platform.machine(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "bfloat16_products": torch.ops.mkldnn._is_mkldnn_bf16_supported()
        if torch.backends.mkldnn.is_available()
        else False,
        "threads": torch.get_num_threads(),
        "system": platform.system(),
        "python": platform.python_version(),
    }
    return found | {package: installed(package) for package in PACKAGES}
