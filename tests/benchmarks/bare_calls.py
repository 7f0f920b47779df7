"""What the engine adds to its network: a whole picture ÷ the same network and decoder calls alone."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from modules.engine.threads import prepare_environment

prepare_environment()  # before torch

import torch  # noqa: E402

from modules.engine.engine import Engine  # noqa: E402
from modules.families.unet.model import UnetModel  # noqa: E402
from modules.images.files import PictureFiles  # noqa: E402
from modules.request import Request, make_request  # noqa: E402
from modules.settings import ROOT  # noqa: E402
from tests.benchmarks._models import NAME, full_size  # noqa: E402
from tests.benchmarks._table import Row, in_turns, show  # noqa: E402
from tests.fake_models import engine_on  # noqa: E402
from tests.fakes import RecordingReport  # noqa: E402

MOST = 1.05
STEPS = 20


def picture(engine: Engine, request: Request, files: PictureFiles) -> None:
    """The whole route, with previews, events and the file on the disk."""
    for _ in engine.generate(request, RecordingReport(), files.save):
        pass


def bare(engine: Engine, request: Request) -> Callable[[], None]:
    """The network's and the decoder's calls of one picture, with nothing in between."""
    with engine.models.borrow(engine.catalog.find(request.model)) as model:
        assert isinstance(model, UnetModel)
    unet, vae, dtype = model.unet, model.vae, model.dtype
    side = (request.width or model.native_size) // model.latent.factor
    x = torch.randn(2, 4, side, side, dtype=dtype).contiguous(memory_format=torch.channels_last)
    context = torch.randn(2, 77, unet.config.cross_attention_dim, dtype=dtype)
    time = torch.tensor(500.0)

    @torch.inference_mode()
    def calls() -> None:
        for _ in range(STEPS):
            unet(x, time, context, return_dict=False)
        vae.decode(x[:1], return_dict=False)

    return calls


def measure(root: Path, what: str, request: Request, rounds: int) -> Row:
    engine = engine_on(root)
    with tempfile.TemporaryDirectory() as outputs:
        ours, other, work = in_turns(
            partial(picture, engine, request, PictureFiles(Path(outputs))), bare(engine, request), rounds
        )
    return Row(f"{what} (processor time {work:.3f})", ours, other, MOST)


def main() -> None:
    asked = {"prompt": "a red circle on a blue background", "seed": 1, "steps": STEPS, "sampler": "DPM++ 2M"}
    title, names = f"A picture of {STEPS} steps ÷ its bare network and decoder calls", ("picture", "bare calls")
    show(title, [measure(ROOT, "starter, 128×128", make_request({**asked, "model": "starter"}), 32)], "s", names)
    with full_size() as root:
        request = make_request({**asked, "model": NAME, "width": 256, "height": 256})
        show(title, [measure(root, "full size, 256×256", request, 2)], "s", names)


if __name__ == "__main__":
    main()
