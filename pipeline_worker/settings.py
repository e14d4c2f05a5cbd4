"""Settings of a pipeline worker."""

from typing import ClassVar

from pydantic import Field

from shared.settings import Settings


class PipelineSettings(Settings):
    own_prefixes: ClassVar[tuple[str, ...]] = ("PIPELINE_",)

    pipeline_pools: str = Field("default", description="pools whose sessions this worker takes, comma-separated")
    pipeline_capacity: int | None = Field(
        None, ge=1, description="most sessions at the same time (default: what the measured load has room for)"
    )
    pipeline_engine_timeout_s: float = Field(
        10.0, gt=0, description="how long an engine may keep a caller waiting for its next output"
    )
    pipeline_media_timeout_s: float = Field(
        30.0, gt=0, description="how long a session waits for another media worker when it has lost its own"
    )

    @property
    def pools(self) -> tuple[str, ...]:
        """Each pool once, in order."""
        return tuple(dict.fromkeys(filter(None, (pool.strip() for pool in self.pipeline_pools.split(",")))))
