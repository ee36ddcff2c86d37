"""The process that tries one area: `python -m tie_forwarder.check.child`.

One JSON line on standard input names the module of the area and its settings; each step is one JSON line on standard
output. It ends with its parent, and by `os._exit`, since clients may leave threads behind that never end.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from importlib import import_module
from typing import Any

from tie_forwarder.check.findings import Finding


def _end_with_the_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def main() -> None:
    """The process: one area, then the end."""
    request = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    area = import_module(request["module"])
    try:
        for step in area.steps(request["settings"]):
            _say({"finding": step.as_json()} if isinstance(step, Finding) else {"trying": list(step)})
    except Exception as error:  # noqa: BLE001 - a process's edge: what nobody foresaw is a finding, too
        _say({"broken": f"{type(error).__name__}: {error}"[:300]})
    os._exit(0)


if __name__ == "__main__":
    main()
