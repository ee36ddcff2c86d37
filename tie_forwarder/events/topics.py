"""The DXL topics: one for each kind of event, by its name, and those of the forwarders themselves.

Imports nothing, since the receiver loads it too.
"""

from __future__ import annotations

TOPICS = {
    "detection": "/mcafee/event/tie/file/detection",
    "first_instance": "/mcafee/event/tie/file/firstinstance",
    "file_reputation_change": "/mcafee/event/tie/file/repchange/broadcast",
    "certificate_reputation_change": "/mcafee/event/tie/cert/repchange/broadcast",
}

GROUP_TOPIC_PREFIX = "/tie-forwarder/group/"
"""The members of a group announce themselves on this prefix and the group's name."""
