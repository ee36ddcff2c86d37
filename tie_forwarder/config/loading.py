"""Load the configuration: file, then environment, then flags. Later ones win, option by option.

Environment variables are `TIE_FORWARDER_<SECTION>__<OPTION>`. Every fault is reported at once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tie_forwarder.config.component import Surroundings
from tie_forwarder.config.document import Document, value_of
from tie_forwarder.config.faults import ConfigError, Fault, faults_of, is_section
from tie_forwarder.config.kafka import one_format
from tie_forwarder.config.model import Config, Option, Origins, dotted

_PREFIX = "TIE_FORWARDER_"
_LEVEL = "__"


def environment_options(environ: Mapping[str, str]) -> Iterator[tuple[Option, Any, str]]:
    """Yields option, value and place for every variable that sets one, in the order of their names."""
    for variable in sorted(environ):
        if variable.startswith(_PREFIX) and _LEVEL in variable[len(_PREFIX) :]:
            option = tuple(variable[len(_PREFIX) :].lower().split(_LEVEL))
            yield option, value_from_text(option, environ[variable]), f"environment variable {variable}"


def value_from_text(option: Option, text: str) -> Any:
    """What `text` means for this option. The models turn text into numbers; only what has structure is read here."""
    if option[:2] == ("kafka", "producer"):
        return _producer_value(option, text)
    return _json_or_text(text) if is_section(option) else text


def _producer_value(option: Option, text: str) -> Any:
    """The producer's options have no models that would turn text into numbers."""
    return _json_or_text(text) if len(option) == 2 else value_of(text)


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return text


def _as_it_is(value: Any) -> Any:
    return value


_SHORT_FORMS: Mapping[Option, Callable[[Any], Any]] = {("kafka", "format"): one_format}
"""Sections that may be given as one value, which a later source may go into: how to write them out."""

SEARCH = (Path("config.yaml"), Path("/etc/tie-forwarder/config.yaml"))


def load(
    path: Path | None = None, *, overrides: Mapping[str, Any] | None = None, environ: Mapping[str, str] = os.environ
) -> Config:
    """The configuration from `path`, or from the first of `SEARCH` that exists.

    `overrides` holds flags by dotted name; None there means that the flag was not given. Raises `ConfigError` with
    every fault that was found.
    """
    file = _found(path)
    origins = Origins()
    document = Document(file=file, origins=origins)
    document.read()
    data = _sections_as_dicts(document.data)
    misplaced = [_put(data, origins, *given) for given in environment_options(environ)]
    for name, value in (overrides or {}).items():
        if value is not None:
            option = tuple(name.split("."))
            meant = value_from_text(option, value) if isinstance(value, str) else value
            misplaced.append(_put(data, origins, option, meant, "command line"))
    config, faults = _validated(data, file, origins, environ.get("CREDENTIALS_DIRECTORY"))
    faults = [*document.faults, *filter(None, misplaced), *faults]
    if config is None or faults:
        raise ConfigError(faults)
    return config


def _found(path: Path | None) -> Path:
    if path is not None:
        return path
    for candidate in SEARCH:
        if os.path.lexists(candidate) or _is_hidden(candidate):
            return candidate
    places = " nor ".join(str(candidate) for candidate in SEARCH)
    raise ConfigError(
        [Fault("", "", None, f"there is no configuration file, neither {places}", "give one with --config")]
    )


def _is_hidden(path: Path) -> bool:
    """Whether this user may not even see if the file exists; reading it then says why."""
    try:
        path.stat()
    except PermissionError:
        return True
    except OSError:
        return False
    return False


def _sections_as_dicts(data: Mapping[Any, Any]) -> dict[Any, Any]:
    """A copy whose every section is there, so that the defaults inside are placed like given values."""
    copy = {name: _copied(value) for name, value in data.items()}
    for name in Config.model_fields:
        if copy.get(name) is None:
            copy[name] = {}
    return copy


def _copied(value: Any) -> Any:
    return {name: _copied(inner) for name, inner in value.items()} if isinstance(value, dict) else value


def _put(data: dict[Any, Any], origins: Origins, option: Option, value: Any, place: str) -> Fault | None:
    """Puts a value where its option stands; the fault, where that is inside of what is an option itself."""
    section = data
    for length, name in enumerate(option[:-1], start=1):
        path = option[:length]
        if section.get(name) is None:
            section[name] = {}
        section[name] = _SHORT_FORMS.get(path, _as_it_is)(section[name])
        section = section[name]
        if not isinstance(section, dict):
            if is_section(path):
                return None  # what stands there instead of a section is a fault, which must not be hidden
            remedy = f"{dotted(path)} has one value and no options below it"
            return Fault(place, dotted(option), None, "there is no such option", remedy)
    section[option[-1]] = _merged(section.get(option[-1]), value)
    origins.note(option, place)
    return None


def _merged(old: Any, new: Any) -> Any:
    if not (isinstance(old, dict) and isinstance(new, Mapping)):
        return new
    return {**old, **{name: _merged(old.get(name), value) for name, value in new.items()}}


def _validated(
    data: dict[Any, Any], file: Path, origins: Origins, credentials: str | None
) -> tuple[Config | None, list[Fault]]:
    surroundings = Surroundings(
        directory=file.absolute().parent, credentials=Path(credentials) if credentials else None
    )
    try:
        config = Config.model_validate(data, context=surroundings)
    except ValidationError as error:
        return None, faults_of(error, origins=origins)
    except (ArithmeticError, RecursionError, TypeError, ValueError):
        # pydantic lets through what its own conversions raise for values out of all proportion.
        return None, [
            Fault(str(file), "", None, "has a value that cannot be understood", "compare it with the defaults")
        ]
    config.remember(file=file.absolute(), origins=origins)
    return config, []
