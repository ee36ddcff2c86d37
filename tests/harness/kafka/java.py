"""The Java runtime that Kafka runs on.

Owns: finding it. Must not: install one.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

OLDEST_VERSION = 17


@lru_cache(maxsize=1)
def _known_java() -> list[str]:
    # A list, so that a failure to find one is remembered only until the next `find_java(afresh=True)`.
    return [path for path in _candidates() if (_version(path) or 0) >= OLDEST_VERSION][:1]


def find_java(*, afresh: bool = False) -> str | None:
    """The path of the first `java` of version 17 or newer in JAVA_HOME, PATH and /usr/lib/jvm, or None.

    Starts each candidate once (some 50 ms); `afresh` looks again after an installation.
    """
    if afresh:
        _known_java.cache_clear()
    return next(iter(_known_java()), None)


def _candidates() -> Iterator[str]:
    if home := os.environ.get("JAVA_HOME"):
        yield str(Path(home) / "bin/java")
    if found := shutil.which("java"):
        yield found
    for path in sorted(Path("/usr/lib/jvm").glob("*/bin/java"), reverse=True):
        yield str(path)


def _version(java: str) -> int | None:
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r'version "(\d+)', answer.stderr)
    return int(found.group(1)) if found else None
