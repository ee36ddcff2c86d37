"""The configuration that the demo gives to the daemon: text for people to read, and to start from."""

from __future__ import annotations

DETECTIONS, DEAD_LETTERS = "tie.file.detections", "tie.dead-letters"


def configuration_text(*, dxl_config: str, bootstrap_server: str, listen: str) -> str:
    """The config.yaml. `dxl_config` is a path, absolute or relative to where the text will lie."""
    return f"""\
dxl:
  config_file: {_quoted(dxl_config)}   # which brokers, which certificate
kafka:
  bootstrap_servers: [{_quoted(bootstrap_server)}]
  delivery: at_least_once             # the embedded Kafka shows records of aborted transactions
  topics:
    detection: {DETECTIONS}
    dead_letter: {DEAD_LETTERS}
spool:
  directory: spool                    # what Kafka does not have yet
http:
  listen: {_quoted(listen)}
"""


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
