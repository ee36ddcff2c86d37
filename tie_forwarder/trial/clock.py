"""This machine's clock against Kafka's, judged. Brokers refuse a record whose time is too far from their own. Pure."""

from __future__ import annotations

from tie_forwarder.trial.finding import Finding, failed, ok, warning

CODE = "clock.kafka"
SUBJECT = "Kafka's controller"
HIDDEN_REMEDY = "grant this user Describe on the cluster, or compare the clocks by hand"
UNTOLD_REMEDY = "compare the clocks by hand"
_TOLERANCE_SECONDS = 5.0
_MOST_AHEAD_SECONDS = 3_600.0
"""What brokers take by default (message.timestamp.after.max.ms)."""

_REMEDY = "set the clock of this machine or of the brokers, and keep both by NTP"


def judge(ours: float, theirs: float, *, waited: float) -> Finding:
    """Both clocks in seconds since the epoch; `waited` is how long the answer took, within which theirs was read."""
    ahead = ours - theirs
    text = f"this clock is {abs(ahead):.1f} s {'ahead' if ahead > 0 else 'behind'}"
    if ahead > _MOST_AHEAD_SECONDS:
        return failed(CODE, SUBJECT, f"{text}: brokers refuse the records", _REMEDY)
    if abs(ahead) > _TOLERANCE_SECONDS + waited:
        return warning(CODE, SUBJECT, f"{text}: members of a group take each other for late", _REMEDY)
    return ok(CODE, SUBJECT, f"they agree within {max(abs(ahead), 0.1):.1f} s")
