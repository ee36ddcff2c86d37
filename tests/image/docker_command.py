"""`docker run` as the documents have it, read word by word, since no Docker runs here.

Owns: which options there are and what they mean. An option that is not known is a fault of the document.
"""

from __future__ import annotations

import argparse
import shlex
from dataclasses import dataclass


@dataclass(frozen=True)
class DockerRun:
    """One command."""

    image: str
    arguments: list[str] | None
    """Of the program; None where the image's own are taken."""
    volumes: dict[str, str]
    """Each place in the container, with the folder or the volume that is mounted there."""
    read_only: set[str]
    """The places that are mounted read-only."""
    environment: dict[str, str]
    ports: list[str]
    hardened: bool
    """Whether root is read-only, and neither a capability nor a new privilege can be had."""


def parse(line: str) -> DockerRun:
    """Read the command; `SystemExit` for what Docker would not know either."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for flag in ("--rm", "--detach", "--read-only"):
        parser.add_argument(flag, action="store_true")
    for option in ("--name", "--restart", "--hostname", "--cap-drop", "--security-opt"):
        parser.add_argument(option)
    parser.add_argument("--stop-timeout", type=int)
    parser.add_argument("-v", action="append", default=[])
    parser.add_argument("-e", action="append", default=[])
    parser.add_argument("-p", action="append", default=[])
    parser.add_argument("image")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    docker, run, *words = shlex.split(line)
    assert (docker, run) == ("docker", "run")
    said = parser.parse_args(words)
    mounts = [mount.split(":") for mount in said.v]
    return DockerRun(
        image=said.image,
        arguments=said.arguments or None,
        volumes={mount[1]: mount[0] for mount in mounts},
        read_only={mount[1] for mount in mounts if mount[2:] == ["ro"]},
        environment=dict(variable.split("=", 1) for variable in said.e),
        ports=said.p,
        hardened=said.read_only and said.cap_drop == "ALL" and said.security_opt == "no-new-privileges",
    )
