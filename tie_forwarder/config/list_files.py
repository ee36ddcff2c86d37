"""Read the lists that `filters` names: one entry per line, blank lines and comments ignored.

One bad line makes the whole file invalid: half a list would forward, or filter, what nobody meant.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from tie_forwarder.config.plain_file import open_file
from tie_forwarder.config.sections import Filters
from tie_forwarder.errors import ForwarderError

_COMMENT = re.compile(r"(?:^|\s)#.*", re.DOTALL)
_HASH = re.compile(r"[0-9A-Fa-f]{32}|[0-9A-Fa-f]{40}|[0-9A-Fa-f]{64}")
_LONGEST_LINE = 1_000
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class ListFileError(ForwarderError):
    """A list that cannot be used. `message` is the end of a sentence that begins with the file; it quotes no line."""


def read_hashes(path: Path, *, allow: bool) -> frozenset[bytes]:
    """The digests of a file of hex hashes, of any of the three kinds. Raises `ListFileError`."""
    return _not_empty(_hashes(path), "hash", allow)


def read_agents(path: Path, *, allow: bool) -> frozenset[bytes]:
    """The digests of a file of endpoints' ids, with braces or without. Raises `ListFileError`."""
    return _not_empty(map(agent_digest, _agents(path)), "endpoint", allow)


def _not_empty(digests: Iterator[bytes], what: str, allow: bool) -> frozenset[bytes]:
    found = frozenset(digests)
    if allow and not found:
        remedy = "fill it, or set the mode to deny"
        raise ListFileError(f"lists no {what}, so that with the mode allow nothing would be forwarded", remedy=remedy)
    return found


def _hashes(path: Path) -> Iterator[bytes]:
    for number, entry in _entries(path):
        if not _HASH.fullmatch(entry):
            remedy = "write 32, 40 or 64 hex digits a line, and comments after #"
            raise ListFileError(f"has in line {number} no MD5, SHA-1 or SHA-256 in hex", remedy=remedy)
        yield bytes.fromhex(entry)


def _agents(path: Path) -> Iterator[str]:
    for number, entry in _entries(path):
        if not entry.strip("{}") or not entry.isprintable():
            raise ListFileError(f"has in line {number} no id of an endpoint", remedy="write one agentGuid a line")
        yield entry


def _entries(path: Path) -> Iterator[tuple[int, str]]:
    """The entries with the numbers of their lines."""
    for number, line in enumerate(_lines(path), start=1):
        try:
            text = line.decode()
        except UnicodeDecodeError:
            raise ListFileError(f"is not UTF-8 text in line {number}", remedy="save it as UTF-8") from None
        entry = (_COMMENT.sub("", text) if "#" in text else text).strip()
        if entry:
            yield number, entry


def _lines(path: Path) -> Iterator[bytes]:
    """Never reads more than a line at a time, nor one without end, nor what is no file."""
    try:
        with open_file(path) as stream:
            first = True
            while line := stream.readline(_LONGEST_LINE + 1):
                if len(line) > _LONGEST_LINE:
                    raise ListFileError(f"has a line of more than {_LONGEST_LINE} bytes", remedy="give a list of lines")
                yield line.removeprefix(_BYTE_ORDER_MARK) if first else line
                first = False
    except FileNotFoundError:
        raise ListFileError("does not exist", remedy="correct the path, or put the file there") from None
    except OSError as error:
        remedy = "make it a file that the user who runs the forwarder may read"
        raise ListFileError(f"cannot be read: {error.strerror or type(error).__name__}", remedy=remedy) from error


_AGENT_DIGEST_BYTES = 16


def agent_digest(agent: str) -> bytes:
    """What a list keeps of an endpoint's id: the same in every spelling of a GUID, as in the key of a record."""
    text = agent.strip("{}").lower()
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=_AGENT_DIGEST_BYTES).digest()


def list_faults(section: Filters) -> Iterator[tuple[str, Path, ListFileError]]:
    """What is wrong with each list file that the section names, with its option. Blocks for the disk."""
    lists = (
        ("filters.hashes_file", section.hashes_file, section.hashes_mode, read_hashes),
        ("filters.agents_file", section.agents_file, section.agents_mode, read_agents),
    )
    for option, path, mode, read in lists:
        if path is not None:
            try:
                read(path, allow=mode == "allow")
            except ListFileError as error:
                yield option, path, error
