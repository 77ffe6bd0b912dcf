"""One seed, one hypothesis profile, no network."""

import os

# Before huggingface_hub and transformers are imported: nothing here may depend on the network.
# `pytest -m hub` runs the published values of the hub's checkpoints and needs it.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# NumPy's BLAS, with which Triton's interpreter multiplies, is 9 times slower on tiles of 128 with
# two threads than with one. Read when numpy is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import torch

# Before triton is imported: without a GPU the kernels run in its interpreter, and the same tests
# run compiled where there is one.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")

import hypothesis
import pytest
import transformers

pytest_plugins = ["tests.helpers.browser"]

SEED = 20191002
# Tensors of tests are small: two threads would wait for each other more than they work, and tests
# themselves run side by side.
torch.set_num_threads(1)

hypothesis.settings.register_profile(
    "reproducible", derandomize=True, deadline=None, print_blob=True, database=None
)
hypothesis.settings.register_profile(
    "thorough", hypothesis.settings.get_profile("reproducible"), max_examples=400
)
hypothesis.settings.load_profile("reproducible")
transformers.logging.disable_progress_bar()
transformers.logging.set_verbosity_error()


def pytest_report_header() -> str:
    return f"seed: {SEED} (torch and hypothesis), torch {torch.__version__}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    reasons = {
        "hub": "needs the Hugging Face hub: run HF_HUB_OFFLINE=0 pytest -m hub",
        "site": "looks at the built site: run make docs",
    }
    for mark, reason in reasons.items():
        if mark not in (config.getoption("markexpr") or ""):
            for item in items:
                if item.get_closest_marker(mark):
                    item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(SEED)
