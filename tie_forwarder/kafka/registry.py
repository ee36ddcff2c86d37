"""A schema registry, asked in a process of its own that ends afterwards: `python -m tie_forwarder.kafka.registry`.

The registry's client takes 26 megabytes and a second, which the publisher would pay for at every start, and a registry
that hangs is left by ending the process. It reads one request as a JSON line on its standard input, answers in kind,
and ends when that input does. Both ends are this module. A request names the subjects with their schemas; it is to
`register` what the registry does not have, or to `examine`, which changes nothing.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any, Literal

from tie_forwarder.interpreter import child_environment, python_command
from tie_forwarder.kafka.errors import REMEDIES, ErrorClass, Verdict, describe, is_about_tls

Verb = Literal["register", "examine"]
Ids = dict[str, int | None]
"""The id of the schema of each subject; None where it is not registered."""

_MOST_SECONDS = 20.0
_REQUEST_SECONDS = 4.0
_NOT_FOUND = (40401, 40402, 40403)
"""No such subject, no such version, no such schema: of these the registry itself speaks, not whoever stands there."""

_BY_STATUS = {401: "registry_authentication", 403: "registry_authorization", 409: "registry_incompatible"}


def ask_registry(verb: Verb, registry: Mapping[str, Any], schemas: Mapping[str, str]) -> Ids | Verdict:
    """The id of each subject's schema, None where an examined one is not yet registered; else what is wrong.

    `registry` is the configuration's (url, username, password, ca_file), `schemas` are the texts by subject. Blocks for
    some seconds, never longer than `_MOST_SECONDS`; never raises.
    """
    request = {"verb": verb, "registry": dict(registry), "schemas": dict(schemas)}
    try:
        answer = _converse(json.dumps(request).encode() + b"\n")
    except OSError as error:
        return Verdict(ErrorClass.TRANSIENT, "registry", f"no process for the schema registry: {error.strerror}")
    if not answer:
        detail = f"the schema registry at {registry['url']} has not answered in {_MOST_SECONDS:.0f} s"
        return Verdict(ErrorClass.TRANSIENT, "registry", detail, REMEDIES["registry"])
    if "verdict" in answer:
        error_class, code, detail, remedy = answer["verdict"]
        return Verdict(ErrorClass(error_class), code, detail, remedy)
    ids: Ids = answer["ids"]
    return ids


def _converse(request: bytes) -> dict[str, Any]:
    """What the process answers; nothing when it had to be ended."""
    with subprocess.Popen(
        python_command(__name__),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=child_environment(),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        clock = threading.Timer(_MOST_SECONDS, process.kill)
        clock.daemon = True
        clock.start()
        try:
            process.stdin.write(request)
            process.stdin.flush()
            answer = process.stdout.read()
        finally:
            clock.cancel()
            process.kill()
    return json.loads(answer) if answer else {}


class _Registry:
    """The client's end. Raises what the client raises, and _Refused."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        from confluent_kafka.schema_registry import SchemaRegistryClient

        options: dict[str, Any] = {"url": settings["url"], "timeout": _REQUEST_SECONDS, "max.retries": 0}
        if settings["username"] is not None:
            options["basic.auth.user.info"] = f"{settings['username']}:{settings['password']}"
        authorities = settings["ca_file"] or _system_authorities()
        if authorities is not None:
            options["ssl.ca.location"] = authorities
        self._client = SchemaRegistryClient(options)

    def register(self, subject: str, schema: Any) -> int:
        """The id; one that is there is only looked up, for which the right to read is enough."""
        found = self._look_up(subject, schema)
        return int(self._client.register_schema(subject, schema)) if found is None else found

    def examine(self, subject: str, schema: Any) -> int | None:
        """The id, or None where the schema could be registered."""
        found = self._look_up(subject, schema)
        if found is None and not self._is_compatible(subject, schema):
            detail = f"the schema of {subject} is not compatible with the one that is registered"
            raise _Refused("registry_incompatible", detail)
        return found

    def _look_up(self, subject: str, schema: Any) -> int | None:
        from confluent_kafka.schema_registry import SchemaRegistryError

        try:
            found = self._client.lookup_schema(subject, schema).schema_id
        except SchemaRegistryError as error:
            if error.error_code in _NOT_FOUND:
                return None
            raise
        return None if found is None else int(found)

    def _is_compatible(self, subject: str, schema: Any) -> bool:
        from confluent_kafka.schema_registry import SchemaRegistryError

        try:
            return bool(self._client.test_compatibility(subject, schema))
        except SchemaRegistryError as error:
            if error.error_code in _NOT_FOUND:
                return True
            raise


class _Refused(Exception):  # noqa: N818 - what the registry did
    def __init__(self, code: str, detail: str) -> None:
        self.code = code
        super().__init__(detail)


def _answer(request: Mapping[str, Any]) -> dict[str, Any]:
    settings = request["registry"]
    try:
        from confluent_kafka.schema_registry import Schema

        registry = _Registry(settings)
        ask = registry.register if request["verb"] == "register" else registry.examine
        return {"ids": {subject: ask(subject, Schema(text, "JSON")) for subject, text in request["schemas"].items()}}
    except Exception as error:  # noqa: BLE001 - the library's edge: whatever it raises is translated
        return {"verdict": _verdict(error, settings["url"])}


def _verdict(error: Exception, url: str) -> Verdict:
    """The client's exception translated. Its classes are told by their names, since its HTTP library changes names."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    said = f"the schema registry at {url}: {describe(error)}"
    status = getattr(error, "http_status_code", None)
    if isinstance(error, _Refused):
        return _blocked(error.code, str(error))
    if status is not None:
        return _verdict_of_status(int(status), said)
    if isinstance(error, ImportError):
        return _blocked("registry_client", said)
    if isinstance(error, ssl.SSLError | FileNotFoundError | PermissionError) or is_about_tls(str(error)):
        return _blocked("registry_tls", said)
    if "TimeoutException" in kinds:
        detail = f"the schema registry at {url} does not answer"
        return Verdict(ErrorClass.TRANSIENT, "registry", detail, REMEDIES["registry"])
    if "TransportError" in kinds:
        return Verdict(ErrorClass.TRANSIENT, "registry", said, REMEDIES["registry"])
    if isinstance(error, ValueError):
        # It answers, and what it says is no JSON.
        return _blocked("registry_url", said)
    return Verdict(ErrorClass.TRANSIENT, "registry", said, REMEDIES["registry"])


def _verdict_of_status(status: int, said: str) -> Verdict:
    if status in (408, 429) or status >= 500:
        return Verdict(ErrorClass.TRANSIENT, "registry", said, REMEDIES["registry"])
    if status in _BY_STATUS:
        return _blocked(_BY_STATUS[status], said)
    return _blocked("registry_refused" if status == 422 else "registry_url", said)


def _blocked(code: str, detail: str) -> Verdict:
    return Verdict(ErrorClass.BLOCKED, code, detail, REMEDIES[code])


def _system_authorities() -> str | None:
    """The client would take a list of its own."""
    paths = ssl.get_default_verify_paths()
    return paths.cafile or paths.capath


def _end_with_the_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


def main() -> None:
    """The process: one request, one answer."""
    request = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    sys.stdout.write(json.dumps(_answer(request)))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
