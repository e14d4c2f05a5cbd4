"""Text to speech by Deepgram Aura over HTTP, streamed, without word times.

Its WebSocket takes at most 20 Flush messages a minute, one for each sentence, and begins no sooner.
"""

from collections.abc import AsyncGenerator, Awaitable

from pipeline_worker.engines.network.account import BaseUrl, EnvironmentName, VendorOptions
from pipeline_worker.engines.network.errors import broken
from pipeline_worker.engines.network.http import VendorHttp
from pipeline_worker.engines.network.provider import NetworkProvider, User
from pipeline_worker.engines.network.speech import SAMPLE_RATE, spoken
from pipeline_worker.engines.protocols import SpeechPiece
from shared.audio import BYTES_PER_SAMPLE, as_samples

_VENDOR = "Deepgram"
_TRIAL_PATH = "/v1/auth/token"


class DeepgramSpeechOptions(VendorOptions):
    api_key_env: EnvironmentName = "DEEPGRAM_API_KEY"
    base_url: BaseUrl = "https://api.deepgram.com"
    model: str = "aura-2-thalia-en"


class DeepgramTextToSpeech:
    sample_rate = SAMPLE_RATE

    def __init__(self, http: VendorHttp, options: DeepgramSpeechOptions) -> None:
        self._http = http
        self._query = {
            "model": options.model,
            "encoding": "linear16",
            "sample_rate": str(SAMPLE_RATE),
            "container": "none",
        }

    def speak(self, text: str) -> AsyncGenerator[SpeechPiece, None]:
        return spoken(_VENDOR, text, self._attempt)

    async def close(self) -> None:
        """Closed with its provider."""

    async def _attempt(self, text: str) -> AsyncGenerator[SpeechPiece, None]:
        rest = b""
        async with self._http.post("/v1/speak", query=self._query, json={"text": text}) as response:
            async for part in response.content.iter_any():
                pcm = rest + part
                whole = len(pcm) - len(pcm) % BYTES_PER_SAMPLE
                rest = pcm[whole:]
                if whole:
                    yield SpeechPiece(as_samples(pcm[:whole]), ())
            if rest:
                raise broken(_VENDOR, "half a sample")


class DeepgramTextToSpeechProvider(NetworkProvider[DeepgramSpeechOptions, VendorHttp, DeepgramTextToSpeech]):
    decisive = False  # your own server may lack the request

    def __init__(self) -> None:
        super().__init__(_VENDOR, "text_to_speech", DeepgramSpeechOptions)

    def connect(self, user: User[DeepgramSpeechOptions]) -> VendorHttp:
        return VendorHttp(user.account, {"Authorization": f"Token {user.account.key}"})

    def try_out(self, connections: VendorHttp, user: User[DeepgramSpeechOptions]) -> Awaitable[None]:
        return connections.get(_TRIAL_PATH)

    def warm(self, connections: VendorHttp, user: User[DeepgramSpeechOptions]) -> None:
        connections.warm(_TRIAL_PATH)

    def engine(self, connections: VendorHttp, user: User[DeepgramSpeechOptions]) -> DeepgramTextToSpeech:
        return DeepgramTextToSpeech(connections, user.options)
