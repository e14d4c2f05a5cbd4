from pathlib import Path

from deploy.evaluation.outcome import Failure, Outcome


def test_it_passed_unless_something_failed() -> None:
    failure = Failure("step 2 (say)", "reply", "nothing was said")
    assert Outcome(Path("call.yaml"), "A call").passed
    assert not Outcome(Path("call.yaml"), "A call", [failure]).passed
    assert str(failure) == "step 2 (say): expected reply, but nothing was said"
