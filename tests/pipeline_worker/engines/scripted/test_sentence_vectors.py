import numpy as np
import pytest

from pipeline_worker.engines.scripted import sentence_vectors
from pipeline_worker.engines.scripted.sentence_vectors import vectors_of


def test_sentences_that_mean_the_same_lie_closer_together() -> None:
    wish, same, german, other = vectors_of(
        [
            "I would like to book a table",
            "can I reserve a table",
            "Ich möchte einen Tisch reservieren",
            "it rains today",
        ]
    )
    assert min(wish @ same, wish @ german) > wish @ other + 0.2


def test_each_has_length_one_in_the_order_given_also_if_one_comes_twice() -> None:
    vectors = vectors_of(["yes", "no", "yes"])
    assert vectors.shape == (3, 512)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-3)
    assert np.array_equal(vectors[0], vectors[2])
    assert not np.array_equal(vectors[0], vectors[1])


def test_not_every_sentence_of_every_caller_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentence_vectors, "_MOST_KEPT", 3)
    monkeypatch.setattr(sentence_vectors, "_kept", {})
    first = vectors_of(["one"])
    for count in range(10):
        vectors_of([f"sentence {count}"])
        assert len(sentence_vectors._kept) <= 3
    assert vectors_of(["one"]) == pytest.approx(first, abs=1e-5)
