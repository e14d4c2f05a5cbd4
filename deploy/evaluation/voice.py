"""A voice of the embedded speech synthesiser."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

VoiceName = Annotated[str, Field(pattern=r"^[\w+/ -]{1,60}$")]
Rate = Annotated[int, Field(ge=80, le=450, description="words per minute")]
Pitch = Annotated[int, Field(ge=0, le=99)]
Level = Annotated[float, Field(ge=-80, le=-3, description="dB relative to full scale")]


class Part(BaseModel):
    """A piece of a scenario file."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Voice(Part):
    """How the caller speaks, with eSpeak NG. Without a level: as loud as it comes."""

    voice: VoiceName = "en-us"
    rate: Rate = 150
    pitch: Pitch = 50
    level_db: Level | None = None
