"""The helper process that recognises speech with PocketSphinx. Its binding keeps the GIL while it decodes.

Frames in:  {channel, op: "load", grammar, jsgf, backchannels, words, aliases: {another name: word},
            pronunciations: {word: phones}}; the rule `backchannel` is made here of those that can be heard
            {channel, op: "open", grammar}, {channel, op: "push"} + PCM (16 kHz, 16 bit, mono), {channel, op: "finish"},
            {channel, op: "cancel"}
Frames out: to load {channel, missing: [words that the dictionary lacks]}; while an utterance goes on {channel, text}
            whenever the hypothesis changes; to finish {channel, text, last: true}; {channel, error}
"""

import os
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from pocketsphinx import Decoder, get_model_path

from pipeline_worker.engines.pipe_frames import Frame, pack, read

_MODEL = Path(get_model_path()) / "en-us"
_READY_DECODERS = 2
_DECODERS_PER_GRAMMAR = 32
"""A decoder takes 15-100 ms to make and about 5 MB, so most are made when they are first needed."""
_SETTINGS = {"bestpath": False, "wbeam": 1e-40}
"""The search through the lattice at the end takes up to 2 s when decoys compete, and finds nothing better.
The default word beam (7e-29) loses phrases on the way that would have won: of 32 hard utterances 11 came out right with
it and 15 with 1e-48, which takes twice the time; this is between them."""
_FEWEST_SOUNDS = 3
_HUMMED = frozenset({"M", "HH", "AH"})
"""Backchannels of these alone ("mhm"), or of two sounds, were heard in 22 of 25 noises by an agent that hears none in
them without; with the others it still hears none."""
_HYPOTHESIS_EVERY_PUSHES = 4
_BYTES_PER_S = 32_000
_LONGEST_UTTERANCE_BYTES = 60 * _BYTES_PER_S
_OVERTURE_BYTES = int(1.2 * _BYTES_PER_S)
"""How much of an utterance is listened to for the microphone and the voice before recognition begins."""
_QUIET_MEAN_SQUARE = 33.0**2
"""-60 dBFS: a microphone whose noise was taken away, before anybody speaks. A second of it tells of no voice, and then
nothing is understood: whoever presses the button to talk early."""
_QUIET_KEPT_BYTES = int(0.3 * _BYTES_PER_S)
_QUIET_STEP_BYTES = _BYTES_PER_S // 100


class Grammar:
    """One grammar and its decoders, each of which follows one utterance at a time."""

    def __init__(self, jsgf: str, pronunciations: Mapping[str, list[str]]) -> None:
        self._jsgf = jsgf
        self._pronunciations = pronunciations
        self._idle = [self._make() for _ in range(_READY_DECODERS)]
        self._made = _READY_DECODERS

    def take(self) -> Any | None:
        if self._idle:
            return self._idle.pop()
        if self._made == _DECODERS_PER_GRAMMAR:
            return None
        self._made += 1
        return self._make()

    def give_back(self, decoder: Any) -> None:
        self._idle.append(decoder)

    def _make(self) -> Any:
        with tempfile.NamedTemporaryFile("w", suffix=".dict", encoding="utf-8") as dictionary:
            for word, spoken in self._pronunciations.items():
                for number, phones in enumerate(spoken, 1):
                    dictionary.write(f"{word if number == 1 else f'{word}({number})'} {phones}\n")
            dictionary.flush()
            decoder = Decoder(hmm=str(_MODEL / "en-us"), dict=dictionary.name, lm=None, loglevel="FATAL", **_SETTINGS)
        decoder.add_jsgf_string("agent", self._jsgf)
        decoder.activate_search("agent")
        return decoder


class Utterance:
    """Recognition starts from the cepstral mean of the utterance's own beginning.

    From the decoder's default mean 27 of 46 sentences of a British voice came out right, from its own 37; American
    voices hardly differ.
    """

    def __init__(self, grammar: Grammar, decoder: Any) -> None:
        self._grammar = grammar
        self._decoder = decoder
        self._overture: bytearray | None = bytearray()
        self._text = ""
        self._pushes = 0
        self._bytes = 0

    def push(self, pcm: bytes) -> str | None:
        """The hypothesis when it is another than before."""
        self._bytes += len(pcm)
        if self._bytes > _LONGEST_UTTERANCE_BYTES:
            return None
        if self._overture is not None:
            self._overture += pcm
            _forget_quiet_beginning(self._overture)
            if len(self._overture) < _OVERTURE_BYTES:
                return None
            self._begin(bytes(self._overture))
        elif pcm:  # the decoder raises on an empty buffer
            self._decoder.process_raw(pcm)
        self._pushes += 1
        if self._pushes % _HYPOTHESIS_EVERY_PUSHES:
            return None
        text = self._hypothesis()
        changed, self._text = text != self._text, text
        return text if changed else None

    def finish(self) -> str:
        if self._overture:
            self._begin(bytes(self._overture))
        text = ""
        if self._overture is None:
            self._decoder.end_utt()
            text = self._hypothesis()
        self._grammar.give_back(self._decoder)
        return text

    def cancel(self) -> None:
        if self._overture is None:
            self._decoder.end_utt()
        self._grammar.give_back(self._decoder)

    def _begin(self, overture: bytes) -> None:
        self._overture = None
        self._decoder.set_cmn(_cepstral_mean(overture))
        self._decoder.start_utt()
        self._decoder.process_raw(overture)

    def _hypothesis(self) -> str:
        hypothesis = self._decoder.hyp()
        return hypothesis.hypstr if hypothesis else ""


def _forget_quiet_beginning(pcm: bytearray) -> None:
    """All but its last part."""
    steps = len(pcm) // _QUIET_STEP_BYTES
    samples = (
        np.frombuffer(bytes(pcm[: steps * _QUIET_STEP_BYTES]), "<i2")
        .reshape(steps, _QUIET_STEP_BYTES // 2)
        .astype(np.float64)
    )
    loud = np.flatnonzero(np.mean(samples**2, axis=1) > _QUIET_MEAN_SQUARE)
    quiet_bytes = (int(loud[0]) if len(loud) else steps) * _QUIET_STEP_BYTES
    del pcm[: max(0, quiet_bytes - _QUIET_KEPT_BYTES)]


class Recogniser:
    def __init__(self) -> None:
        self._grammars: dict[str, Grammar] = {}
        self._utterances: dict[int, Utterance] = {}

    def answer(self, frame: Frame) -> dict[str, Any] | None:
        header, channel = frame.header, frame.header["channel"]
        match header["op"]:
            case "load":
                return self._load(header)
            case "open":
                return self._open(channel, self._grammars[header["grammar"]])
            case "push" if channel in self._utterances:
                text = self._utterances[channel].push(frame.body)
                return None if text is None else {"text": text}
            case "finish" if channel in self._utterances:
                return {"text": self._utterances.pop(channel).finish(), "last": True}
            case "cancel" if channel in self._utterances:
                self._utterances.pop(channel).cancel()
        return None

    def _load(self, header: dict[str, Any]) -> dict[str, Any]:
        own = {word: [phones] for word, phones in header["pronunciations"].items()}
        backchannels = list(_audible(header["backchannels"], own))
        words = {*header["words"], *(word for said in backchannels for word in said.split())}
        known = {**_pronunciations_of(words), **own}
        missing = sorted(words - known.keys())
        known |= {alias: _dictionary()[word] for alias, word in header["aliases"].items()}
        jsgf = _with_backchannels(header["jsgf"], backchannels)
        if not missing:
            try:
                self._grammars[header["grammar"]] = Grammar(jsgf, known)
            except (RuntimeError, ValueError) as error:
                return {"error": f"PocketSphinx does not take the grammar: {error}", "code": "bad_grammar"}
        return {"missing": missing}

    def _open(self, channel: int, grammar: Grammar) -> dict[str, Any] | None:
        decoder = grammar.take()
        if decoder is None:
            return {"error": f"more than {_DECODERS_PER_GRAMMAR} utterances at once", "code": "engine_busy"}
        self._utterances[channel] = Utterance(grammar, decoder)
        return None


def _pronunciations_of(words: Iterable[str]) -> dict[str, list[str]]:
    dictionary = _dictionary()
    return {word: dictionary[word] for word in words if word in dictionary}


def _with_backchannels(jsgf: str, backchannels: Sequence[str]) -> str:
    if not backchannels:  # Beside a rule that is <VOID>, nothing at all is recognised.
        return jsgf.replace(" | <backchannel>", "")
    return f"{jsgf}<backchannel> = {' | '.join(backchannels)};\n"


def _audible(backchannels: Iterable[str], own: Mapping[str, list[str]]) -> Iterator[str]:
    """Those of known words that can be told from noise, and from short answers: three sounds and more, not hummed."""
    known = _dictionary().keys() | own.keys()
    for said in backchannels:
        for words in (said.split(), said.replace("-", " ").split()):
            if words and known.issuperset(words):
                sounds = [phone for word in words for phone in (own.get(word) or _dictionary()[word])[0].split()]
                if len(sounds) >= _FEWEST_SOUNDS and not ("M" in sounds and _HUMMED.issuperset(sounds)):
                    yield " ".join(words)
                break


def _cepstral_mean(pcm: bytes) -> str:
    listener = _listener()
    listener.start_utt()
    listener.process_raw(pcm, no_search=True, full_utt=True)
    listener.end_utt()
    return str(listener.get_cmn(False))


@cache
def _listener() -> Any:
    """A decoder that recognises nothing: for the features alone."""
    with tempfile.NamedTemporaryFile("w", suffix=".dict", encoding="utf-8") as dictionary:
        dictionary.write("a AH\n")
        dictionary.flush()
        decoder = Decoder(hmm=str(_MODEL / "en-us"), dict=dictionary.name, lm=None, loglevel="FATAL")
    decoder.add_jsgf_string("nothing", "#JSGF V1.0;\ngrammar nothing;\npublic <nothing> = a;\n")
    decoder.activate_search("nothing")
    return decoder


@cache
def _dictionary() -> Mapping[str, list[str]]:
    """The model's dictionary: `word PH ON ES`, further pronunciations as `word(2)`."""
    entries: dict[str, list[str]] = {}
    for line in (_MODEL / "cmudict-en-us.dict").read_text(encoding="utf-8").splitlines():
        word, _, phones = line.partition(" ")
        entries.setdefault(word.partition("(")[0], []).append(phones)
    return entries


def _answer_all(requests: BinaryIO, out: BinaryIO) -> None:
    recogniser = Recogniser()
    while frame := read(requests):
        answer = recogniser.answer(frame)
        if answer is not None:
            out.write(pack({**answer, "channel": frame.header["channel"]}))


def main() -> None:
    # The worker decides when we end, by closing our input; a Ctrl-C or a service manager signals the whole group.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # What the library prints must not get among the frames.
    try:
        _answer_all(sys.stdin.buffer, out)
    except BrokenPipeError:
        os._exit(0)  # The worker is gone.


if __name__ == "__main__":
    main()
