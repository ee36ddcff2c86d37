"""Writes the golden files, the package's schemas and the examples of docs/records.md.

Look at what has changed before you commit it.
"""

from __future__ import annotations

from tests.golden.examples import DOCUMENT, with_examples
from tests.golden.records import CASES, as_text, file_of, render
from tests.golden.schemas import PACKAGE, schemas
from tests.golden.schemas import as_text as schema_text
from tie_forwarder.records.formats import FORMATS

for name in FORMATS:
    file_of(name).write_text(as_text({case: render(case, name) for case in CASES}), encoding="utf-8")
    print(file_of(name).name)
for name, schema in schemas():
    (PACKAGE / name).write_text(schema_text(schema), encoding="utf-8")
    print(name)
DOCUMENT.write_text(with_examples(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
print(DOCUMENT.name)
