"""What must be in the environment before torch is imported; so this file does not import it."""

import os
from types import MappingProxyType

VARIABLES = MappingProxyType(
    {
        # libgomp's threads spin while they wait; when anything else wants a core, that costs a factor of five.
        "OMP_WAIT_POLICY": "PASSIVE",
        # Models are loaded from disk alone; the libraries underneath must not look for anything elsewhere.
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "DIFFUSERS_VERBOSITY": "error",
        # CUDA memory in growing segments: pictures of changing sizes leave fewer holes.
        "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
    }
)


def prepare_environment() -> None:
    """Set what torch and the model libraries read at import; whatever a person set already stays."""
    for name, value in VARIABLES.items():
        os.environ.setdefault(name, value)
