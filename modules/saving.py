"""How pictures are saved: the part of the settings that says so, by A1111's keys."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Format = Annotated[Literal["png", "jpg", "webp", "avif"], BeforeValidator(lambda given: _format(given))]
# A1111 knows only on and off.
Metadata = Annotated[
    Literal["full", "minimal", "off"],
    BeforeValidator(lambda given: {"true": "full", "false": "off"}.get(str(given).lower(), given)),
]
Colour = Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$")]


class Saving(BaseModel):
    """What becomes of a finished picture. Patterns are those of `modules.images.names`."""

    model_config = ConfigDict(frozen=True)

    # The name of a file: empty means [seed], or [seed]-[prompt_spaces] where there are no folders by pattern.
    samples_filename_pattern: str = Field(default="", max_length=500)
    save_images_add_number: bool = True  # begin it with a number that rises within the folder
    save_to_dirs: bool = True  # pictures go into folders named by the pattern below
    directories_filename_pattern: str = Field(default="[date]", max_length=500)  # "/" begins a folder in a folder
    directories_max_prompt_words: int = Field(default=8, ge=1, le=20)  # that [prompt_words] writes

    # Where pictures go; a relative folder begins where the outputs folder lies. Empty: the usual one in the outputs.
    # These are paths, so they are for whoever runs the server, never for whoever can open its page.
    outdir_samples: str = Field(default="", max_length=1000)  # all pictures, in place of the next three
    outdir_txt2img_samples: str = Field(default="", max_length=1000)
    outdir_img2img_samples: str = Field(default="", max_length=1000)
    outdir_extras_samples: str = Field(default="", max_length=1000)

    # How they are written.
    samples_format: Format = "png"
    jpeg_quality: int = Field(default=80, ge=1, le=100)  # of JPEG and AVIF, and of WebP where it is not lossless
    webp_lossless: bool = False
    # What a file says of itself: the "parameters" text and the exact recipe, the text alone, or nothing. Only a picture
    # with its recipe is found again after a crash.
    enable_pnginfo: Metadata = "full"
    save_txt: bool = False  # write the "parameters" text into a file beside the picture, too
    # A PNG that is large gets a JPEG beside it, for where large ones may not be sent.
    export_for_4chan: bool = True
    img_downscale_threshold: float = Field(default=4.0, ge=0, le=1024)  # MB (2^20 bytes) from which on a file is large
    target_side_length: int = Field(default=4000, ge=64, le=65536)  # pixels from which on, and at most of the JPEG's

    # What else is saved of a picture, beside it.
    save_images_before_highres_fix: bool = False  # how it was before its second pass
    save_images_before_color_correction: bool = False  # before it was given the colours of the picture painted over
    save_mask: bool = False  # of a picture that was painted over: where
    save_mask_composite: bool = False  # and what was painted there, alone
    save_init_img: bool = False  # what is painted over, in the folder init-images, by the hash of its pixels
    save_incomplete_images: bool = False  # what a picture had come to when it was interrupted or skipped

    # A grid of the pictures of a job, as a picture of its own: off unless wanted, for the page shows them side by side.
    grid_save: bool = False
    return_grid: bool = True  # show the grid that is saved among the job's pictures
    grid_format: Format = "png"
    grid_only_if_multiple: bool = True  # none of a job that makes one picture
    n_rows: int = Field(default=-1, ge=-1, le=16)  # -1: as fits best; 0: as many as the batch size
    grid_prevent_empty_spots: bool = False  # with -1: so many that every place is taken
    grid_background_color: Colour = "#ffffff"
    grid_extended_filename: bool = False  # name it as pictures are named, after grid-0001, and not by that alone
    grid_save_to_dirs: bool = True  # in folders by the pattern above
    img_max_size_mp: float = Field(default=200.0, ge=1, le=10_000)  # million pixels of a grid at most
    outdir_grids: str = Field(default="", max_length=1000)  # all grids, in place of the next two
    outdir_txt2img_grids: str = Field(default="", max_length=1000)
    outdir_img2img_grids: str = Field(default="", max_length=1000)

    # The Save button, and the archive of a job's pictures.
    outdir_save: str = Field(default="", max_length=1000)  # where the button copies to
    save_selected_only: bool = True  # the picture that is shown; otherwise all of its job
    save_write_log_csv: bool = True  # a line for each in the table log.csv there
    use_save_to_dirs_for_ui: bool = False  # in folders by the pattern above
    grid_zip_filename_pattern: str = Field(default="", max_length=500)  # empty: moment, model and seeds


def _format(given: object) -> object:
    """Take A1111's spellings: "jpeg", ".png", "PNG"."""
    text = str(given).lower().removeprefix(".")
    return "jpg" if text == "jpeg" else text
