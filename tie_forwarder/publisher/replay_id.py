"""The name under which a group's replays publish; without kafka-python, for who only wants to know it."""

from __future__ import annotations


def replay_id(group: str) -> str:
    """The transactional id of a group's replays."""
    return f"{group}-replay"
