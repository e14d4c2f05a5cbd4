"""A call as a list that a person can read."""

from deploy.evaluation.call_record import CallRecord, Happening
from deploy.evaluation.outcome import TimelineEntry

_LEFT_OUT = ("transcript-partial", "pong")


def timeline(record: CallRecord) -> list[TimelineEntry]:
    """What was done, said and heard, by time from the call's beginning."""
    entries = [(what.at_s, _told(what)) for what in record.happenings if what.type not in _LEFT_OUT]
    entries += [(begin, f"agent    is heard for {end - begin:.2f} s") for begin, end in record.heard.spans()]
    return [TimelineEntry(at_s - record.began_s, text) for at_s, text in sorted(entries)]


def _told(what: Happening) -> str:
    fields = dict(what.fields)
    match what.type:
        case "":
            return f"caller   {fields['deed']}"
        case "transcript":
            role, text = fields.pop("role", "?"), fields.pop("text", "")
            return f'heard    {role}: "{text}"{_rest(fields)}'
        case "status":
            return f"status   {fields.pop('status', '?')}{_rest(fields)}"
    return f"event    {what.type}{_rest(fields)}"


def _rest(fields: dict[str, object]) -> str:
    return f" {fields}" if fields else ""
