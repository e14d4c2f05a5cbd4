"""An exception for the log, without its text, which may quote what people said."""

import traceback

from shared.errors import AntiphonError, leaves

_MOST_FRAMES = 8
_MOST_ERRORS = 4


def fault(error: BaseException) -> str:
    """The kinds of `error` and its causes, and where each was raised, the innermost frame first."""
    return "; also ".join(_chain(leaf) for leaf in list(leaves(error))[:_MOST_ERRORS])


def _chain(error: BaseException) -> str:
    causes: list[str] = []
    following: BaseException | None = error
    while following is not None and len(causes) < _MOST_ERRORS:
        causes.append(_described(following))
        following = following.__cause__ or (None if following.__suppress_context__ else following.__context__)
    return ", caused by ".join(causes)


def _described(error: BaseException) -> str:
    name = f"{type(error).__name__} ({error.code})" if isinstance(error, AntiphonError) else type(error).__name__
    frames = reversed(traceback.extract_tb(error.__traceback__)[-_MOST_FRAMES:])
    places = " < ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames)
    return f"{name} at {places}" if places else name
