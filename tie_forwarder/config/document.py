"""Reads the YAML file: its data, the line of every option, and the faults that only the text shows.

Whatever the file contains, reading it ends within a second with data or with a fault. YAML's own errors quote the text
around them, which may be a secret, so only their kind and place are passed on.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from tie_forwarder.config.faults import ConfigError, Fault
from tie_forwarder.config.model import Option, Origins, dotted
from tie_forwarder.config.plain_file import read_file

_MOST_BYTES = 128 * 1024
_MOST_NODES = 5_000
_DEEPEST = 20
_LONGEST_TYPED = 1_000
"""Characters of a value that is not plain text: the time to make a number of it grows with their square."""

_MERGE_TAG = "tag:yaml.org,2002:merge"
_TEXT_TAG = "tag:yaml.org,2002:str"
_NOT_PRINTABLE = yaml.reader.Reader.NON_PRINTABLE
_BEFORE_A_QUOTE = re.compile(r"""(?:[^'"]|'(?:[^'"\w]{1,2}|\\t)')*""")
_BUT_FOUND = re.compile(r"[,:]?\s*(?:but (?:got|found)|%s)?\s*$")


class Document:
    """One configuration file. `data` is what it says, `faults` what is wrong with its form."""

    def __init__(self, *, file: Path, origins: Origins) -> None:
        self.data: dict[str, Any] = {}
        self.faults: list[Fault] = []
        self._file = file
        self._origins = origins
        self._left = _MOST_NODES

    def read(self) -> None:
        """Reads the file once. Raises `ConfigError` when it is not a readable YAML mapping."""
        loader = _Loader(self._text())
        try:
            node = loader.get_single_node()
            if node is None:
                return
            self._note(node, ())
            data = loader.construct_document(node)
        except yaml.MarkedYAMLError as error:
            raise ConfigError([self._syntax_fault(error)]) from None
        except Exception:  # noqa: BLE001 - the library's edge: it raises anything for a text that nobody foresaw
            raise ConfigError([self._syntax_fault(yaml.MarkedYAMLError())]) from None
        finally:
            loader.dispose()
        if not isinstance(data, dict):
            raise ConfigError(
                [self._fault("is not a YAML mapping", "write sections such as `kafka:` with options below")]
            )
        self.data = data

    def _text(self) -> str:
        try:
            content = read_file(self._file, most_bytes=_MOST_BYTES)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            remedy = "give the path of a readable file with --config"
            raise ConfigError([self._fault(f"cannot be read: {reason}", remedy)]) from None
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            place = self._line(content.count(b"\n", 0, error.start))
            raise ConfigError([Fault(place, "", None, "is not UTF-8 text", "save it as UTF-8")]) from None
        if found := _NOT_PRINTABLE.search(text):
            place = self._line(text.count("\n", 0, found.start()))
            remedy = "remove it, or write it as an escape in double quotes"
            raise ConfigError([Fault(place, "", None, "contains a control character", remedy)])
        return text

    def _note(self, node: yaml.Node, option: Option) -> None:
        """Notes the lines of what is inside `node`, and keys that occur twice.

        Follows aliases and merges as the data will, and so bounds them.
        """
        self._left -= 1
        if self._left < 0 or len(option) > _DEEPEST:
            raise _refused(node, "this is nested too deeply, or an alias refers to itself")
        if isinstance(node, yaml.SequenceNode):
            for item in node.value:
                self._note(item, (*option, ""))
        if not isinstance(node, yaml.MappingNode):
            return
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _refused(key, "the name of an option must be plain text")
            if key.tag == _MERGE_TAG:
                self._note(value, (*option, ""))
                continue
            inner = (*option, key.value)
            if inner[-1] in seen:
                self._note_twice(inner, key)
            seen.add(inner[-1])
            self._origins.note(inner, self._line(key.start_mark.line))
            self._note(value, inner)

    def _note_twice(self, option: Option, key: yaml.Node) -> None:
        first = self._origins.place_of(option)
        place = self._line(key.start_mark.line)
        self.faults.append(Fault(place, dotted(option), None, f"is given twice (first in {first})", "remove one"))

    def _line(self, line: int) -> str:
        return f"{self._file}, line {line + 1}"

    def _fault(self, message: str, remedy: str) -> Fault:
        return Fault(str(self._file), "", None, message, remedy)

    def _syntax_fault(self, error: yaml.MarkedYAMLError) -> Fault:
        mark = error.problem_mark or error.context_mark
        problem = _without_quotations(error.problem or "a value cannot be understood")
        place = str(self._file) if mark is None else f"{self._line(mark.line)}, column {mark.column + 1}"
        remedy = "correct the YAML; put text with special characters in quotes"
        return Fault(place, "", None, f"is not valid YAML: {problem}", remedy)


def value_of(text: str) -> Any:
    """A single value as YAML reads it; the text itself where it is not valid YAML, or has structure."""
    if len(text) > _LONGEST_TYPED or _NOT_PRINTABLE.search(text):
        return text
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if isinstance(node, yaml.ScalarNode):
            return loader.construct_document(node)
    except Exception:  # noqa: BLE001 - as in `Document.read`
        return text
    finally:
        loader.dispose()
    return text


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, with bounds, and with a place for every error."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._nodes = 0
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Counts nodes and levels, so that neither memory nor Python's stack runs out."""
        self._nodes += 1
        self._depth += 1
        if self._nodes > _MOST_NODES or self._depth > _DEEPEST:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]  # PyYAML carries no types
            raise yaml.MarkedYAMLError(problem="this is nested too deeply, or too long", problem_mark=mark)
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """As the library, which raises anything where a value does not fit its tag."""
        if isinstance(node, yaml.ScalarNode) and node.tag != _TEXT_TAG and len(node.value) > _LONGEST_TYPED:
            raise _refused(node, "this number is too long")
        try:
            return super().construct_object(node, deep)
        except yaml.YAMLError:
            raise
        except Exception as error:  # a tag may construct anything from hostile text
            raise _refused(node, "the value does not fit its type") from error


def _refused(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def _without_quotations(problem: str) -> str:
    """The problem up to the first quotation that is more than a punctuation mark."""
    quoted = _BEFORE_A_QUOTE.match(problem)
    return _BUT_FOUND.sub("", quoted.group() if quoted else "")
