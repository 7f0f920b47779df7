"""The noise levels of a model as a request wants them: another table than the one the model comes with."""

from __future__ import annotations

from modules.families.family import Model
from modules.request import Request
from modules.sampling.prediction import retabled


def levelled(model: Model, request: Request) -> Model:
    """Return `model` on the noise levels that `request` asks for; its weights are shared, and it stays as it is."""
    zero_snr = request.noise_schedule == "Zero Terminal SNR"
    quantized = request.sampling is not None and request.sampling.quantize
    if not zero_snr and not request.downcast_alphas and not quantized:
        return model
    return model.with_prediction(retabled(model.prediction, zero_snr, request.downcast_alphas, quantized))
