"""How a leader shares callers among its helpers, and what strangers at its port can do."""

from hypothesis import given
from hypothesis import strategies as st

from callers.load.fleet import share


@given(st.integers(0, 1000), st.integers(1, 40))
def test_helpers_share_the_callers_evenly(callers: int, processes: int) -> None:
    shares = [share(callers, index, processes) for index in range(processes)]
    assert sum(shares) == callers
    assert max(shares) - min(shares) <= 1
    assert all(share(callers + 1, index, processes) >= before for index, before in enumerate(shares))
