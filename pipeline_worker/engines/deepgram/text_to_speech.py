"""Text to speech by Deepgram Aura over HTTP, whose answer streams. It tells no word times.

Its WebSocket takes no more than 20 Flush messages a minute, one for each sentence, and begins no sooner.
"""

from collections.abc import AsyncGenerator

from pipeline_worker.engines.network.account import (
    BaseUrl,
    EnvironmentName,
    VendorAccount,
    VendorOptions,
    read_account,
    side_by_side,
    try_account,
)
from pipeline_worker.engines.network.errors import broken
from pipeline_worker.engines.network.http import VendorHttp
from pipeline_worker.engines.network.speech import SAMPLE_RATE, spoken
from pipeline_worker.engines.options import read_options
from pipeline_worker.engines.protocols import SpeechPiece
from shared.agent import AgentDefinition
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


class DeepgramTextToSpeechProvider:
    """The connections, one pool for each account, and the voice of each agent."""

    def __init__(self) -> None:
        self._voices: dict[str, tuple[DeepgramSpeechOptions, VendorAccount]] = {}
        self._https: dict[VendorAccount, VendorHttp] = {}

    def add(self, agent: AgentDefinition) -> None:
        options = read_options(agent, "text_to_speech", DeepgramSpeechOptions)
        account = read_account(agent, "text_to_speech", _VENDOR, options)
        self._voices[agent.id] = options, account
        if account not in self._https:
            self._https[account] = VendorHttp(account, {"Authorization": f"Token {account.key}"})

    async def start(self) -> None:
        """Tries the keys, which costs nothing; a server of one's own may lack this request."""
        users = {account: (agent_id, options) for agent_id, (options, account) in self._voices.items()}
        await side_by_side(
            try_account(agent_id, "text_to_speech", options, self._https[account].get(_TRIAL_PATH), decisive=False)
            for account, (agent_id, options) in users.items()
        )

    def open(self, agent_id: str) -> DeepgramTextToSpeech:
        options, account = self._voices[agent_id]
        self._https[account].warm(_TRIAL_PATH)
        return DeepgramTextToSpeech(self._https[account], options)

    async def close(self) -> None:
        for http in self._https.values():
            await http.close()
