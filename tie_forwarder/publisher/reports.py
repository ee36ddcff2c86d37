"""What the publisher tells its parent, as frames. Their order is part of the contract: what was published or seen is
told before how far the tail has come, since the parent remembers both for the next publisher."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tie_forwarder.children.frames import Kind, encode
from tie_forwarder.children.link import ParentLink
from tie_forwarder.publisher.commands import Reason, Role
from tie_forwarder.publisher.errors import Verdict
from tie_forwarder.publisher.producer import Refused
from tie_forwarder.publisher.tail import Found, Positions, TopicIds


class LinkReports:
    """Writes one frame per report; any thread."""

    def __init__(self, link: ParentLink) -> None:
        self._link = link

    def seen(self, found: Sequence[Found]) -> None:
        """These events stand in the output."""
        self._link.send(encode(Kind.SEEN, b"".join(item.event_id for item in found)))

    def live(self, topics: Sequence[str]) -> None:
        """Another member has just received and published events that came on these DXL topics."""
        self._report({"live": list(topics)})

    def published(self, positions: Sequence[int], seconds: float) -> None:
        """Kafka is proven to have the rows at these positions."""
        self._report({"published": ranges(positions), "seconds": seconds})

    def refused(self, refused: Refused) -> None:
        """Kafka refuses this row by itself."""
        verdict = refused.verdict
        told = {"position": refused.row.position, "code": verdict.code, "detail": verdict.detail}
        self._report({"refused": {**told, "letter_bytes": refused.letter_bytes}})

    def corrupt(self, positions: Sequence[int]) -> None:
        """These rows of the spool are damaged."""
        self._report({"corrupt": list(positions)})

    def unlisted(self, kind: str) -> None:
        """The spool has events of a kind that this process knows no topic for."""
        self._report({"unlisted": kind})

    def role(self, role: Role, reason: Reason | None) -> None:
        """What this member is now, and why."""
        self._report({"role": role.value, "reason": None if reason is None else reason.value})

    def remember(self, positions: Positions, topic_ids: TopicIds, memory: dict[str, Any]) -> None:
        """What the next publisher process of this member must know."""
        self._report({"remember": {"positions": positions, "topic_ids": topic_ids, "memory": memory}})

    def barrier(self, number: int) -> None:
        """Asks for an answer once everything before is applied."""
        self._report({"barrier": number})

    def compacted(self, topics: Sequence[str], remedy: str) -> None:
        """The output topics that are compacted; none when all is well."""
        self._report({"compacted": list(topics), "remedy": remedy})

    def error(self, verdict: Verdict) -> None:
        """Why this process ends."""
        self._report({"error": verdict_fields(verdict)})

    def status(self, body: dict[str, Any]) -> None:
        """The status of each second."""
        self._link.send_json(Kind.STATUS, body)

    def _report(self, body: dict[str, Any]) -> None:
        self._link.send_json(Kind.REPORT, body)


def ranges(positions: Sequence[int]) -> list[tuple[int, int]]:
    """Ascending positions as ranges, both ends included."""
    found: list[tuple[int, int]] = []
    for position in positions:
        if found and found[-1][1] == position - 1:
            found[-1] = (found[-1][0], position)
        else:
            found.append((position, position))
    return found


def verdict_fields(verdict: Verdict) -> dict[str, str]:
    """The verdict as JSON carries it."""
    return {
        "class": verdict.error_class.value,
        "code": verdict.code,
        "detail": verdict.detail,
        "remedy": verdict.remedy,
    }
