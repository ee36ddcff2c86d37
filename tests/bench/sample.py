"""The bare sample of dxltieclient: a DetectionCallback that does nothing. What it takes is what dxlclient itself costs.

Prints `ready` when subscribed and one line when the expected number has come.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

from dxlclient.client import DxlClient
from dxlclient.client_config import DxlClientConfig
from dxltieclient import TieClient
from dxltieclient.callbacks import DetectionCallback


class Counter(DetectionCallback):  # type: ignore[misc]  # dxltieclient carries no types
    """Counts, since somebody has to say when it is over."""

    def __init__(self, expected: int) -> None:
        super().__init__()
        self._left = expected
        self.done = threading.Event()

    def on_detection(self, detection_dict: Any, original_event: Any) -> None:
        """One detection."""
        self._left -= 1
        if self._left == 0:
            self.done.set()


def main() -> None:
    """`python -m tests.bench.sample DXLCLIENT_CONFIG NUMBER`."""
    config = DxlClientConfig.create_dxl_config_from_file(sys.argv[1])
    counter = Counter(int(sys.argv[2]))
    with DxlClient(config) as client:
        client.connect()
        TieClient(client).add_file_detection_callback(counter)
        print("ready", flush=True)
        counter.done.wait()
        print("done", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
