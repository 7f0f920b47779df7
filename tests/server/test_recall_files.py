"""A request comes back from a picture's file, whatever format that has: from its recipe, and from its text alone."""

import io

from hypothesis import HealthCheck, given, settings
from PIL import Image

from modules.images import infotext, metadata
from modules.images.formats import encoded
from modules.request import Request
from modules.result import Picture
from modules.saving import Saving
from modules.server.recall import Knows, recall
from tests.server.test_recall import knows, recipe_of, request_of, requests

__all__ = ["knows"]
FORMATS = ("png", "jpg", "webp", "avif")
IMAGE = Image.new("RGB", (8, 8), "red")


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(requests)
def test_any_request_comes_back_from_a_file_of_any_format(knows: Knows, request: Request) -> None:
    recipe = recipe_of(request)
    for form in FORMATS:
        data, ending = encoded(Picture(IMAGE, recipe), form, Saving())
        with Image.open(io.BytesIO(data)) as image:
            found = metadata.look_into(image)
        assert ending == f".{form}" and found.recipe == recipe
        assert found.parameters == infotext.write(recipe)
        assert request_of(dict(recall(found, knows).values)) == request
