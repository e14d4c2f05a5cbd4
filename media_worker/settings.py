"""Settings of the media worker."""

from typing import ClassVar

from pydantic import Field

from shared.settings import Settings


class MediaSettings(Settings):
    own_prefixes: ClassVar[tuple[str, ...]] = ("MEDIA_",)

    media_port: int = Field(0, ge=0, le=65_535, description="first UDP port; a process uses port + index (0: any port)")
    media_index: int = Field(0, ge=0, description="which of this machine's media workers this process is")
    media_capacity: int | None = Field(
        None, ge=1, description="most sessions at the same time (default: what the measured load has room for)"
    )
    media_cushion_ms: int = Field(40, ge=20, le=500, description="agent audio that is buffered before it plays")
    media_connect_timeout_s: float = Field(30.0, gt=0, description="time a caller has to connect")
    media_check_timeout_s: float = Field(
        10.0, gt=0, description="time a caller has for the first valid connectivity check"
    )
    media_silent_timeout_s: float = Field(15.0, gt=0, description="a session ends after so long without a packet")
    media_pipeline_timeout_s: float = Field(8.0, gt=0, description="how long a session waits for a pipeline worker")
    media_takeover_timeout_s: float = Field(
        30.0, gt=0, description="how long a session waits for another pipeline worker when it has lost its own"
    )
    media_bitrate: int = Field(32_000, ge=6_000, le=256_000, description="bit rate of agent audio")
    media_complexity: int = Field(5, ge=0, le=10, description="effort of the Opus encoder; lowered under load")
    media_reorder_wait_ms: int = Field(
        20, ge=0, le=200, description="wait for a packet that is out of order; checked every 20 ms, so up to 20 more"
    )

    @property
    def udp_port(self) -> int:
        return self.media_port + self.media_index if self.media_port else 0
