"""The DXL topic of each kind of event, by the kind's name; nothing else, since the receiver loads it, too."""

from __future__ import annotations

TOPICS = {
    "detection": "/mcafee/event/tie/file/detection",
    "first_instance": "/mcafee/event/tie/file/firstinstance",
    "file_reputation_change": "/mcafee/event/tie/file/repchange/broadcast",
    "certificate_reputation_change": "/mcafee/event/tie/cert/repchange/broadcast",
}
