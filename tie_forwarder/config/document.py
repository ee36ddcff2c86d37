"""Reads the YAML file: its data, the line of every option, and the faults that only the text shows.

YAML's own errors quote the text around them, which may be a secret, so only their kind and place are passed on.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from tie_forwarder.config.faults import ConfigError, Fault
from tie_forwarder.config.origins import Option, Origins

_MERGE_TAG = "tag:yaml.org,2002:merge"
_QUOTED_WORD = re.compile(r"""\s(['"])(\w|.{2,}?)\1""")


class Document:
    """One configuration file. `data` is what it says, `faults` what is wrong with its form."""

    def __init__(self, *, file: Path, origins: Origins) -> None:
        self.data: dict[str, Any] = {}
        self.faults: list[Fault] = []
        self._file = file
        self._origins = origins
        self._open_nodes: set[int] = set()

    def read(self) -> None:
        """Reads the file once. Raises `ConfigError` when it is no readable YAML mapping."""
        loader = yaml.SafeLoader(self._text())
        try:
            node = loader.get_single_node()
            if node is None:
                return
            self._note(node, ())
            data = loader.construct_document(node)
        except (yaml.YAMLError, ValueError) as error:
            raise ConfigError([self._syntax_fault(error)]) from None
        finally:
            loader.dispose()
        if not isinstance(data, dict):
            raise ConfigError(
                [self._fault("is not a YAML mapping", "write sections such as `kafka:` with options below")]
            )
        self.data = data

    def _text(self) -> str:
        try:
            return self._file.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise ConfigError([self._fault("is not UTF-8 text", "save it as UTF-8")]) from None
        except OSError as error:
            reason = error.strerror or type(error).__name__
            remedy = "give the path of a readable file with --config"
            raise ConfigError([self._fault(f"cannot be read: {reason}", remedy)]) from None

    def _note(self, node: yaml.Node, option: Option) -> None:
        """Notes the lines of what is inside `node`, and keys that stand there twice."""
        if not isinstance(node, yaml.MappingNode):
            return
        if id(node) in self._open_nodes:
            mark = node.start_mark
            raise yaml.MarkedYAMLError(problem="an alias refers to what it stands in", problem_mark=mark)
        self._open_nodes.add(id(node))
        seen: set[str] = set()
        for key, value in node.value:
            if key.tag == _MERGE_TAG:
                continue
            inner = (*option, str(key.value))
            if inner[-1] in seen:
                self._note_twice(inner, key)
            seen.add(inner[-1])
            self._origins.note(inner, self._line(key.start_mark.line))
            self._note(value, inner)
        self._open_nodes.remove(id(node))

    def _note_twice(self, option: Option, key: yaml.Node) -> None:
        first = self._origins.place_of(option)
        place = self._line(key.start_mark.line)
        self.faults.append(Fault(place, ".".join(option), None, f"stands twice (first in {first})", "remove one"))

    def _line(self, line: int) -> str:
        return f"{self._file}, line {line + 1}"

    def _fault(self, message: str, remedy: str) -> Fault:
        return Fault(str(self._file), "", None, message, remedy)

    def _syntax_fault(self, error: Exception) -> Fault:
        mark = getattr(error, "problem_mark", None)
        problem = _QUOTED_WORD.sub("", str(getattr(error, "problem", None) or "a value cannot be understood"))
        place = str(self._file) if mark is None else f"{self._line(mark.line)}, column {mark.column + 1}"
        remedy = "mend the YAML; text with special signs belongs in quotes"
        return Fault(place, "", None, f"is not valid YAML: {problem}", remedy)
