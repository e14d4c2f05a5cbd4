from media_worker.settings import MediaSettings


def test_each_worker_of_a_machine_has_its_own_port() -> None:
    assert MediaSettings(media_port=40_000, media_index=3).udp_port == 40_003


def test_without_a_port_any_will_do() -> None:
    assert MediaSettings(media_index=3).udp_port == 0
