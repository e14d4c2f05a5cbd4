from pipeline_worker.engines.silero.silence_gate import CALM_CHUNKS, SilenceGate

ROOM, VOICE = 1e-7, 1e-4


def hear(gate: SilenceGate, energy: float, probability: float, chunks: int = 1) -> list[bool]:
    """Which chunks the model judged."""
    asked = []
    for _ in range(chunks):
        asked.append(gate.passes(energy))
        if asked[-1]:
            gate.judged(energy, probability)
    return asked


def calm(room: float = ROOM) -> SilenceGate:
    gate = SilenceGate()
    assert hear(gate, room, 0.01, CALM_CHUNKS + 1) == [True] * CALM_CHUNKS + [False]
    return gate


def test_a_quiet_room_is_judged_for_a_while_and_then_known() -> None:
    assert not any(hear(calm(), ROOM, 0.01, 1000))


def test_digital_silence_is_a_quiet_room_and_anything_ends_it() -> None:
    gate = calm(0.0)
    assert not any(hear(gate, 0.0, 0.01, 1000))
    assert hear(gate, 1e-10, 0.01) == [True]


def test_the_first_louder_chunk_passes() -> None:
    gate = calm()
    assert hear(gate, VOICE, 0.9) == [True]
    assert all(hear(gate, ROOM, 0.01, CALM_CHUNKS))
    assert hear(gate, ROOM, 0.01) == [False]


def test_a_little_louder_than_the_room_is_enough() -> None:
    assert hear(calm(), ROOM * 1.7, 0.2) == [True]
    assert hear(calm(), ROOM * 1.5, 0.2) == [False]


def test_while_the_model_wavers_all_is_judged() -> None:
    assert all(hear(SilenceGate(), ROOM, 0.2, 100))


def test_a_louder_room_is_learnt_from_the_model() -> None:
    gate = calm()
    fan = ROOM * 10
    assert all(hear(gate, fan, 0.01, CALM_CHUNKS))
    assert not any(hear(gate, fan, 0.01, 100))


def test_in_a_quieter_room_quieter_voices_pass() -> None:
    gate = calm(ROOM * 10)
    assert not any(hear(gate, ROOM, 0.01, 150))
    assert hear(gate, ROOM * 3, 0.9) == [True]


def test_in_a_loud_room_all_is_judged() -> None:
    assert all(hear(SilenceGate(), 2e-5, 0.01, 100))
