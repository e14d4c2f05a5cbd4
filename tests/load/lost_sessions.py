"""Sessions that ended although they should not have: which fault did it, and what everybody noted of them."""

import json
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from tests.integration.deployment import Deployment
from tests.load.counting_calls import LostSession
from tests.load.fault_effects import Run, mute_at_the_end
from tests.load.faults import Fault

_BEFORE_S, _AFTER_S = 20.0, 5.0
_NO_FAULT = "none"


class Loss(NamedTuple):
    """`row` is that of the last fault that concerned the caller."""

    row: str
    caller: int
    session: LostSession


def losses(run: Run) -> list[Loss]:
    """Who hears nothing at the end has lost their session, too."""
    found = [(number, lost) for number, call in enumerate(run.calls) for lost in call.lost if lost.at_s < run.ended_s]
    for number in mute_at_the_end(run):
        caller = run.calls[number].caller
        name, notes = (caller.session, list(caller.notes)) if caller is not None else ("", [])
        found.append((number, LostSession(run.ended_s, "hears nothing", name, notes)))
    return [Loss(_row_before(run.faults, number, lost.at_s), number, lost) for number, lost in found]


def story(loss: Loss, faults: Iterable[Fault], deployments: Iterable[Deployment]) -> Iterator[str]:
    """Lines of what happened around the end, in order of time: faults, the caller's notes, the services' logs."""
    session = loss.session
    yield f"caller {loss.caller} lost session {session.session} after: {loss.row}: {session.why}"
    told = [(at_s, f"caller: {note}") for at_s, note in session.notes]
    for fault in faults:
        concerned = "concerns this caller" if loss.caller in fault.callers else "of others"
        told.append((fault.at_s, f"FAULT ({concerned}): {fault.row} {fault.kind or ''} {fault.worker}"))
        if fault.back_s is not None:
            told.append((fault.back_s, f"BACK: {fault.row}"))
    for deployment in deployments:
        told += _logged(deployment, session.session)
    for at_s, what in sorted(told):
        if -_BEFORE_S < at_s - session.at_s < _AFTER_S:
            yield f"  {at_s - session.at_s:+8.3f} s  {what}"


def _row_before(faults: Iterable[Fault], number: int, at_s: float) -> str:
    before = [fault.row for fault in faults if number in fault.callers and fault.at_s < at_s]
    return before[-1] if before else _NO_FAULT


def _logged(deployment: Deployment, session: str) -> Iterator[tuple[float, str]]:
    """The log lines that name the session, at monotonic times."""
    offset_s = time.time() - time.monotonic()
    for kind, services in deployment.of_kind.items():
        for service in services:
            for line in service.log:
                if session and session in line and line.startswith("{"):
                    fields = json.loads(line)
                    at_s = datetime.fromisoformat(fields.pop("timestamp")).timestamp() - offset_s
                    yield at_s, f"{kind} {service.worker_id}: {json.dumps(fields)}"
