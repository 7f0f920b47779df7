"""The settings of one run: file, environment and command line, frozen before anything starts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, PrivateAttr, SecretStr, field_validator
from pydantic_settings import (
    BaseSettings,
    JsonConfigSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from modules.options import row_names
from modules.prompting import Prompting
from modules.saving import Saving

ROOT = Path(__file__).resolve().parent.parent


class Settings(BaseSettings, Saving, Prompting):
    """How this run is set up. The command line wins over `EASEL_*` variables, these over `.easel/settings.json`."""

    model_config = SettingsConfigDict(env_prefix="EASEL_", frozen=True, extra="ignore", protected_namespaces=())

    data_dir: Path = ROOT  # the folder that holds models, outputs, extensions and the state folder
    models_dir: Path | None = None
    outputs_dir: Path | None = None
    extensions_dir: Path | None = None
    # further folders, read in place: whole folders of models (another program's), then folders of one kind each
    model_roots: tuple[Path, ...] = ()
    ckpt_dir: tuple[Path, ...] = ()
    lora_dir: tuple[Path, ...] = ()
    vae_dir: tuple[Path, ...] = ()
    embeddings_dir: tuple[Path, ...] = ()
    hypernetwork_dir: tuple[Path, ...] = ()
    controlnet_dir: tuple[Path, ...] = ()
    upscaler_dir: tuple[Path, ...] = ()
    face_dir: tuple[Path, ...] = ()
    text_encoder_dir: tuple[Path, ...] = ()
    # files of styles, with "*" and "?" for several; empty: styles.csv in the data folder
    styles_file: tuple[Path, ...] = ()
    hashing: bool = True  # work out the SHA-256 of every model file in the background

    host: str = "127.0.0.1"
    port: int = Field(default=7860, ge=0, le=65535)  # 0: any free port
    autolaunch: bool = False
    theme: Literal["", "dark", "light"] = ""  # empty: as the browser prefers

    preprocessor_downloads: bool = False  # weights of preprocessors are fetched when they are needed
    private_downloads: bool = False  # models may be added from addresses inside this network
    huggingface_token: SecretStr = SecretStr("")  # keys to files that need an account
    civitai_token: SecretStr = SecretStr("")

    database: str = ""  # an SQLAlchemy URL; empty: SQLite in the state folder
    start_paused: bool = False
    lease_seconds: float = Field(default=30.0, ge=1, le=3600)
    max_deaths: int = Field(default=2, ge=1, le=100)  # a job whose worker died this often is set aside

    device: str = "auto"  # auto, cpu, cuda, cuda:1, ...
    dtype: Literal["auto", "fp32", "fp16", "bf16"] = "auto"
    # what stands on top of the page, in this order: A1111's names of what all tabs share, and options by their names
    quicksettings: tuple[str, ...] = (
        "sd_model_checkpoint",
        "sd_vae",
        "CLIP_stop_at_last_layers",
    )
    # What becomes of styles found in the prompts of a picture that fills the form: Ignore leaves their words, Apply and
    # Discard take them out; Apply chooses these styles and no others, "Apply if any" keeps those chosen where none is
    # found (A1111's choice: such a form makes another picture than the one it was filled from).
    infotext_styles: Literal["Ignore", "Apply", "Discard", "Apply if any"] = "Apply"
    controlnet_units: int = Field(default=3, ge=1, le=10)  # on the page; a request takes ten
    models_in_memory: int = Field(default=3, ge=1, le=100)  # checkpoints that stay loaded, as long as there is room
    memory_reserve: float = Field(default=2.0, ge=0, le=1024)  # GiB of main memory, and of a GPU's, left free
    offload: Literal["auto", "none", "medvram", "lowvram"] = "auto"  # what of a model is on a GPU at once
    upscale_tile: int = Field(default=256, ge=0, le=4096)  # pixels of a tile that an upscaler sees at once; 0: all
    upscale_overlap: int = Field(default=16, ge=0, le=256)  # pixels that neighbouring tiles have in common
    preview_every: int = Field(default=1, ge=0, le=150)  # steps between live previews; 0: none
    interrupt_after_current: bool = False  # Interrupt lets the pictures in the making be finished first
    set_scale_by_when_changing_upscaler: bool = False  # Extras: an upscaler that is chosen says by how much
    # how a tagger's tags are told, by A1111's names: those that are at least so sure, and none of those in the filter
    interrogate_deepbooru_score_threshold: float = Field(default=0.5, ge=0, le=1)
    deepbooru_sort_alpha: bool = True  # otherwise the surest come first
    deepbooru_use_spaces: bool = True  # instead of underscores
    deepbooru_escape: bool = True  # brackets, so that a prompt takes them as they stand
    deepbooru_filter_tags: str = Field(default="", max_length=10_000)  # with commas between them
    disable_all_extensions: bool = False

    _given: frozenset[str] = PrivateAttr(default=frozenset())

    @classmethod
    def of_command_line(cls, given: Mapping[str, Any]) -> Self:
        """Return the settings with those that a command line gave, which are remembered as `given`."""
        made = cls(**given)
        made._given = frozenset(given)
        return made

    @property
    def given(self) -> frozenset[str]:
        """The names of the settings that the command line gave: no file changes them."""
        return self._given

    @field_validator("quicksettings")
    @classmethod
    def _in_the_row(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        """Each name once, and none that the row cannot hold."""
        allowed = row_names(cls.model_fields)
        unknown = [name for name in names if name not in allowed]
        if unknown:
            raise ValueError(f"{unknown[0][:60]} is none of {', '.join(allowed)}")
        return tuple(dict.fromkeys(names))

    @property
    def models(self) -> Path:
        """The folder with A1111's sub-folders of model files."""
        return self.models_dir or self.data_dir / "models"

    @property
    def outputs(self) -> Path:
        """The folder finished pictures go to."""
        return self.outputs_dir or self.data_dir / "outputs"

    @property
    def extensions(self) -> Path | None:
        """The folder of extensions, or None when they are switched off."""
        return None if self.disable_all_extensions else self.extensions_dir or self.data_dir / "extensions"

    @property
    def state(self) -> Path:
        """The folder of the database, thumbnails and logs."""
        return self.data_dir / ".easel"

    @property
    def inputs(self) -> Path:
        """The folder of the pictures that people bring: what is repainted, masks, hints."""
        return self.state / "inputs"

    @property
    def database_url(self) -> str:
        """The SQLAlchemy URL of the database."""
        return self.database or f"sqlite:///{self.state / 'easel.db'}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources: command line, environment, file."""
        data_dir = Path(str(init_settings().get("data_dir") or env_settings().get("data_dir") or ROOT))
        file = JsonConfigSettingsSource(settings_cls, json_file=data_dir / ".easel" / "settings.json")
        return init_settings, env_settings, file
