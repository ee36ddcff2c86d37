"""The entry of the receiver process."""

import sys

# paho loads dnspython where it finds it, 3 MB, for look-ups that dxlclient never makes.
sys.modules["dns"] = None  # type: ignore[assignment]  # that is how an import is made to fail

from tie_forwarder.receiver.process import main  # noqa: E402

main()
