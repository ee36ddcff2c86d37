"""Where `status` has its report from: a running forwarder or, where none answers, what the spool's directory tells."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import SplitResult, urlsplit

from tie_forwarder.cli.daemon import ask
from tie_forwarder.config import Config
from tie_forwarder.config.address import Address
from tie_forwarder.errors import ForwarderError
from tie_forwarder.spool.glance import Glance, glance
from tie_forwarder.status_words import timestamp

Report = dict[str, Any]

_MOST_BYTES = 4 * 1024 * 1024
_PORTS = {"http": 80, "https": 443}


def by_url(url: str) -> Callable[[], Report]:
    """Asks whoever listens there. ForwarderError when it gives no report, since its spool may be anywhere."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        parts, port = SplitResult("", "", "", "", ""), 0
    if not port or not parts.hostname:
        raise ForwarderError(f"{url!r} is no address of a forwarder", remedy="give it as in http://127.0.0.1:9469")
    address, tls = Address(parts.hostname, port), parts.scheme == "https"
    path = f"{parts.path.rstrip('/').removesuffix('/status')}/status"
    return lambda: _answered(address, path=path, tls=tls)


def by_config(config: Config) -> Callable[[], Report]:
    """Asks where the configuration says and, where nobody answers, looks at the spool."""

    def report() -> Report:
        address = config.http.address
        if address is None or address.port == 0:
            return from_spool(config, "http.listen gives no address to ask")
        try:
            return _answered(address)
        except ForwarderError as error:
            return from_spool(config, error.message)

    return report


def from_spool(config: Config, silence: str) -> Report:
    """What can be known of a forwarder that gives no answer; `silence` says how it does not."""
    seen = glance(config.spool.directory)
    running = seen.holder is not None
    state = "not_answering" if running else "not_running"
    remedy = f"see the log of process {seen.holder}" if running else "start it: tie-forwarder run, or its service"
    problems = [{"state": state, "reason": state, "detail": silence, "remedy": remedy}, *_problems_of(seen)]
    return {
        "state": state,
        "reason": state,
        "since": None,
        "remedy": remedy,
        "problems": problems,
        "process": seen.holder,
        "spool": {
            "directory": str(config.spool.directory),
            "events": seen.events,
            "bytes": seen.bytes,
            "limit_bytes": int(config.spool.max_bytes),
            "when_full": config.spool.when_full,
            "oldest_received_at": None
            if seen.oldest_received_at_ms is None
            else timestamp(seen.oldest_received_at_ms / 1000),
            "damaged": list(seen.damaged),
        },
        "now": timestamp(time.time()),
    }


def _problems_of(seen: Glance) -> list[dict[str, str]]:
    if not seen.trouble:
        return []
    unread = seen.events is None
    reason = "spool_unreadable" if unread else "spool_suspect"
    remedy = "see the rights on the directory and its file" if unread else "none: the next start mends it"
    return [{"state": "degraded", "reason": reason, "detail": seen.trouble, "remedy": remedy}]


def _answered(address: Address, *, path: str = "/status", tls: bool = False) -> Report:
    status, text = ask(address, path, most_bytes=_MOST_BYTES, tls=tls)
    where = f"{address}{path}"
    if status == 403:
        remedy = "ask by its IP address, or add the name to http.allowed_hosts there"
        raise ForwarderError(f"{where} does not answer to this host name", remedy=remedy)
    if status != 200:
        raise ForwarderError(f"{where} answered {status}", remedy="is it the address of a forwarder?")
    try:
        report = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ForwarderError(f"{where} answered no JSON", remedy="is it the address of a forwarder?") from error
    if not _can_be_shown(report):
        raise ForwarderError(
            f"{where} answered, but not as a forwarder of this version", remedy="use the `status` that it came with"
        )
    return cast(Report, report)


def _can_be_shown(report: object) -> bool:
    """Whether it is a report: all that is shown of one is in it, with values that can be shown."""
    from tie_forwarder.cli.status_text import lines, one_line

    if not isinstance(report, dict) or not {"state", "parts", "rates", "dead_letters"} <= report.keys():
        return False
    try:
        lines(report)
        one_line(report)
    except Exception:  # noqa: BLE001 - anybody may have written it, with any value in any place
        return False
    return isinstance(report["state"], str)
