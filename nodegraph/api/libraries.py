"""Libraries' own chatter."""

from __future__ import annotations

import os
import warnings


def hush_libraries() -> None:
    """Libraries' warnings are not for the people who run workflows; setting the libraries' own variables brings them back."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    warnings.simplefilter("ignore")
