"""Looking at certificates and files in a process of its own, which ends afterwards.

The library that reads certificates takes eight megabytes, which the daemon would keep for the rest of its life.
`python -m tie_forwarder.config.inspection` reads a pickled request on standard input and answers in kind; both ends are
this module.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tie_forwarder.config.faults import Fault
from tie_forwarder.config.model import Config
from tie_forwarder.errors import ForwarderError
from tie_forwarder.interpreter import child_environment, python_command

if TYPE_CHECKING:
    from tie_forwarder.config.fabric_file import FabricFile

_PATIENCE_SECONDS = 15.0
"""Well below the time after which a stalled main thread ends the daemon: a reload waits for this on that thread."""

_REMEDY = "check that this user may run that interpreter, that the disks answer, and that memory is left"


class Certificate(NamedTuple):
    """One certificate file."""

    role: str
    path: Path
    ends_at: float
    """Seconds since the epoch."""


class Inspection(NamedTuple):
    """What was found."""

    faults: list[Fault]
    certificates: list[Certificate]
    dxl_files: list[Path]
    """What dxl.config_file names, whether it could be read or not: certificates and key."""
    brokers: tuple[str, ...] = ()
    """The brokers that dxl.config_file names, as HOST:PORT."""
    warnings: tuple[Fault, ...] = ()
    """What other users of this machine can read or write."""


def inspect(config: Config, *, patience_seconds: float = _PATIENCE_SECONDS) -> Inspection:
    """Verifies what the configuration refers to, and reads when its certificates end. Blocks for half a second.

    Raises `ForwarderError` if the process cannot be started, does not finish in time, or fails.
    """
    try:
        done = subprocess.run(
            python_command("tie_forwarder.config.inspection"),
            input=pickle.dumps(config),
            stdout=subprocess.PIPE,
            timeout=patience_seconds,
            check=True,
            env=child_environment(),
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ForwarderError(f"cannot inspect the files of the configuration: {_why(error)}", remedy=_REMEDY) from error
    found: Inspection = pickle.loads(done.stdout)  # noqa: S301 - written by this module a moment ago
    return found


def _why(error: Exception) -> str:
    if isinstance(error, subprocess.TimeoutExpired):
        return f"not finished within {error.timeout:.0f} s"
    if isinstance(error, subprocess.CalledProcessError):
        return f"the process that does it exited with {error.returncode}"
    return f"{sys.executable or 'the Python interpreter'}: {getattr(error, 'strerror', None) or error}"


def _inspect_here(config: Config) -> Inspection:
    from tie_forwarder.config.fabric_file import FabricFile
    from tie_forwarder.config.verification import exposures, verify

    fabric = FabricFile(file=config.dxl.config_file, place="")
    files = [fabric.certificate(setting) for setting in ("BrokerCertChain", "CertFile", "PrivateKey")]
    brokers = tuple(f"{broker.host}:{broker.port}" for broker in fabric.brokers())
    found = [file for file in files if file is not None]
    return Inspection(verify(config), _certificates(config, fabric), found, brokers, tuple(exposures(config)))


def _certificates(config: Config, fabric: FabricFile) -> list[Certificate]:
    from tie_forwarder.config.certificates import certificate_expiry

    paths: dict[str, Any] = {
        "dxl_client": fabric.certificate("CertFile"),
        "dxl_brokers": fabric.certificate("BrokerCertChain"),
        "kafka_client": config.kafka.security.certificate_file,
        "kafka_brokers": config.kafka.security.ca_file,
    }
    found = []
    for role, path in paths.items():
        if path is not None:
            try:
                found.append(Certificate(role, path, certificate_expiry(path).timestamp()))
            except ForwarderError:
                continue  # it is among the faults, or is being renewed right now
    return found


def main() -> None:
    """The process: one request, one answer."""
    # Under `-m` this module has another name; what is pickled must bear the importable one.
    from tie_forwarder.config import inspection

    config: Config = pickle.load(sys.stdin.buffer)  # noqa: S301 - written by our parent
    try:
        answer = pickle.dumps(inspection._inspect_here(config))  # noqa: SLF001 - this very module
    except Exception as error:  # noqa: BLE001 - a traceback could show a path that is a secret
        place = traceback.extract_tb(error.__traceback__)[-1]
        sys.exit(f"{type(error).__name__} in {place.name}, {place.filename}:{place.lineno}")
    sys.stdout.buffer.write(answer)


if __name__ == "__main__":
    main()
