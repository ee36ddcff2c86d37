"""A child process that does what the first line of its standard input says: `python -m tests.harness.sample_child`."""

from __future__ import annotations

import logging
import os
import threading
from typing import Any

from tie_forwarder.processes.frames import Kind
from tie_forwarder.processes.link import ParentLink
from tie_forwarder.processes.log import log, log_exception

HOSTILE = "a\r\n<0>{}\x1b[2J\x00\x9b31m\u2028\u202e\x7f"


def main() -> None:
    """Behaves, and then waits for its end unless the behaviour is to end."""
    link, configuration = ParentLink.attach()
    behaviour = configuration["behaviour"]
    stopped = threading.Event()

    def on_line(line: dict[str, Any]) -> None:
        log(logging.INFO, "sample.heard", number=line.get("number"))
        link.send_json(Kind.REPORT, {"heard": line})
        if line.get("verb") == "stop":
            stopped.set()

    if behaviour != "deaf":
        link.listen(on_line)
    behave(behaviour, link)
    link.send_json(Kind.STATUS, {"environment": dict(os.environ)})
    if behaviour == "stubborn":
        threading.Event().wait()
    stopped.wait()
    os._exit(0)


def fail() -> None:
    """Raises what an enemy has worded."""
    raise ValueError(HOSTILE)


def behave(behaviour: str, link: ParentLink) -> None:
    """Does what it is there for before the status goes out; some behaviours never come back."""
    if behaviour == "print":
        print("a library says hello")
        os.write(1, b"and so does C\n")
        log(logging.INFO, "sample.logged", number=7)
    elif behaviour == "long_line":
        os.write(2, b"x" * 300_000 + b"\n")
        log(logging.INFO, "sample.after")
    elif behaviour == "hostile":
        print(HOSTILE)
        os.write(2, b"\xff\xfe" + HOSTILE.encode() + b"\n")
        log(logging.INFO, HOSTILE, **{HOSTILE: HOSTILE, "list": [HOSTILE]})
        logging.getLogger("kafka").error(HOSTILE)
        try:
            fail()
        except ValueError:
            log_exception("sample.failed")
    elif behaviour == "garbage":
        link.send(b"\xff" * 100)
    elif behaviour == "nonsense":
        link.send_json(Kind.STATUS, [[]])
    elif behaviour == "chatter":
        for number in range(1_000):
            link.send_json(Kind.REPORT, {"number": number})
        os._exit(0)
    elif behaviour == "exit":
        os._exit(4)


if __name__ == "__main__":
    main()
