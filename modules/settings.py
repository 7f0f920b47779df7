"""The settings of one run: file, environment and command line, frozen before anything starts."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import (
    BaseSettings,
    JsonConfigSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

ROOT = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """How this run is set up. The command line wins over `EASEL_*` variables, these over `.easel/settings.json`."""

    model_config = SettingsConfigDict(env_prefix="EASEL_", frozen=True, extra="ignore", protected_namespaces=())

    data_dir: Path = ROOT  # the folder that holds models, outputs, extensions and the state folder
    models_dir: Path | None = None
    outputs_dir: Path | None = None
    extensions_dir: Path | None = None
    ckpt_dir: tuple[Path, ...] = ()  # further folders of checkpoints, read in place

    host: str = "127.0.0.1"
    port: int = Field(default=7860, ge=0, le=65535)  # 0: any free port
    autolaunch: bool = False
    theme: Literal["", "dark", "light"] = ""  # empty: as the browser prefers

    database: str = ""  # an SQLAlchemy URL; empty: SQLite in the state folder
    start_paused: bool = False
    lease_seconds: float = Field(default=30.0, gt=0)
    max_deaths: int = Field(default=2, ge=1)  # a job whose worker died this often is set aside

    device: str = "auto"  # auto, cpu, cuda, cuda:1, ...
    dtype: Literal["auto", "fp32", "fp16", "bf16"] = "auto"
    preview_every: int = Field(default=1, ge=0)  # steps between live previews; 0: none
    disable_all_extensions: bool = False

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
