from pathlib import Path

from pipeline_worker.engines.decoy_words import DECOY_WORDS


def test_each_is_there_once_and_in_the_model_s_dictionary_with_four_sounds_or_more() -> None:
    import pocketsphinx

    dictionary = Path(pocketsphinx.get_model_path()) / "en-us" / "cmudict-en-us.dict"
    sounds = {word: len(phones) for word, *phones in map(str.split, dictionary.read_text().splitlines())}
    assert len(set(DECOY_WORDS)) == len(DECOY_WORDS) > 50
    assert min(sounds[word] for word in DECOY_WORDS) >= 4
