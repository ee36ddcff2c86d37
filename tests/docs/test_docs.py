"""Every document is true in what can be tried without a server: links, make targets, verbs, options, commands."""

from __future__ import annotations

import re
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click
import pytest
import yaml

from tests.distribution import pythons
from tie_forwarder.cli import command_line
from tie_forwarder.cli.verbs import VERBS
from tie_forwarder.errors import ForwarderError
from tie_forwarder.spool.database import FILE_NAME, VERSION, create, look_at

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
NAMES = [str(document.relative_to(ROOT)) for document in DOCUMENTS]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands(document: str, program: str) -> list[list[str]]:
    """Every command in the document's indented blocks that runs the program, in words, without comments and pipes."""
    text = (ROOT / document).read_text(encoding="utf-8").replace("\\\n", " ")
    found = re.findall(rf"^ {{4,}}(?:[A-Z_]+=\S* )*(?:\S*/)?({program} [^|<>\n]*)", text, re.MULTILINE)
    return [shlex.split(command, comments=True) for command in found]


def anchors(document: Path) -> set[str]:
    """The anchors of the headings, as forges make them."""
    headings = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(document: Path) -> Iterator[tuple[Path, str]]:
    """The files of the repository that the document links to, each with its anchor."""
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", document.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        yield (document.parent / path).resolve() if path else document, anchor


def make_targets() -> set[str]:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return {target for line in re.findall(r"^([\w -]+):", text, re.MULTILINE) for target in line.split()}


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    for path, anchor in links(ROOT / name):
        assert path.exists(), f"{name} links to {path}"
        assert not anchor or anchor in anchors(path), f"{name} links to #{anchor} of {path.name}"


@pytest.mark.parametrize("name", NAMES)
def test_make_targets_exist(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    named = set(re.findall(r"^ {4,}(?:sudo )?make ([\w-]+)", text, re.MULTILINE)) | set(
        re.findall(r"`make ([\w-]+)", text)
    )
    assert named <= make_targets()


@pytest.mark.parametrize("name", NAMES)
def test_the_files_of_the_tree_that_commands_name_are_there(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    named = re.findall(r"^ {4,}[^#\n]*?((?:deploy|tests|docs)/[\w./-]+|requirements[\w-]*\.lock)", text, re.MULTILINE)
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("name", NAMES)
def test_verbs_and_options_are_those_of_the_program(name: str) -> None:
    for _, verb, *words in commands(name, "tie-forwarder"):
        assert verb in VERBS, f"{name}: tie-forwarder {verb}"
        command = command_line.get_command(click.Context(command_line), verb)
        while isinstance(command, click.Group):
            command = command.get_command(click.Context(command), words.pop(0))
        assert command is not None, f"{name}: tie-forwarder {verb}"
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        used = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert used <= known, f"{name}: tie-forwarder {verb}"


def test_the_readme_gives_no_way_of_installing_more_than_five_commands() -> None:
    section = README.split("## Install\n", 1)[1].split("\n## ", 1)[0].replace("\\\n", " ")
    blocks = re.findall(r"(?:^    .*\n)+", section, re.MULTILINE)
    assert blocks
    assert [block for block in blocks if block.count("\n") > 5] == []


def test_the_command_that_shows_a_record_shows_one() -> None:
    (command,) = commands("README.md", "tie-forwarder decode")
    program = [sys.executable, "-m", "tie_forwarder", *command[1:]]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert '"ce_id"' in done.stdout


def test_the_picture_is_of_a_demo_that_balances_and_loads_nothing_from_elsewhere() -> None:
    picture = (ROOT / "docs" / "demo.svg").read_text(encoding="utf-8")
    text = re.sub(r"<[^>]*>", "", picture).replace("&#160;", " ")
    assert re.search(r"= imbalance +0", text)
    assert not re.search(r"(?:href|src|url)\s*[=(:]\s*[\"']?https?:", picture)


def test_every_verb_is_explained() -> None:
    table = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
    explained = re.findall(r"^\| `([\w-]+)(?: [A-Z]+)?` \|", table.split("## Verbs", 1)[1], re.MULTILINE)
    assert set(explained) >= set(VERBS)


def test_the_workflow_of_the_forge_runs_make_targets_on_every_python_that_is_promised() -> None:
    jobs = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))["jobs"]
    ran = [step["run"].split()[:2] for job in jobs.values() for step in job["steps"] if "run" in step]
    assert all(program == "make" and target in make_targets() for program, target in ran)
    assert ["make", "test"] in ran
    promised = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', (ROOT / "pyproject.toml").read_text("utf-8"))
    assert promised
    for job in ("test", "distribution"):
        assert jobs[job]["strategy"]["matrix"]["python"] == promised
    assert pythons.DEFAULT.split() == promised


WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def test_the_workflows_use_each_action_by_one_commit_with_its_version_beside_it() -> None:
    """A tag may be moved to other code; a commit may not."""
    used = [line for file in WORKFLOWS for line in file.read_text("utf-8").splitlines() if "uses:" in line]
    pinned = [re.fullmatch(r" +- uses: ([\w./-]+)@([0-9a-f]{40})  # v\d+\.\d+\.\d+", line) for line in used]
    assert used
    assert [line for line, pin in zip(used, pinned, strict=True) if pin is None] == []
    assert len({pin[1] for pin in pinned if pin}) == len({pin[0].strip() for pin in pinned if pin})


def test_a_release_builds_on_the_digest_of_the_base_and_records_both_digests() -> None:
    (job,) = yaml.safe_load((ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8"))[
        "jobs"
    ].values()
    commands = [step["run"] for step in job["steps"] if "run" in step]
    (build,) = (number for number, text in enumerate(commands) if text.startswith("make image"))
    assert "BASE=${base%:*}@$digest" in commands[build - 1]
    for text in (commands[build - 1], commands[build + 1]):
        assert "imagetools inspect" in text
        assert "dist/IMAGES.txt" in text
    assert all(set(text.split()[1:]) & make_targets() for text in commands if text.startswith("make "))


def test_a_python_that_is_missing_is_a_failure_that_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONS", "3.11 3.99")
    with pytest.raises(pythons.NoSuchPythonError) as raised:
        pythons.find("3.99")
    assert "uv python install 3.99" in str(raised.value)
    assert 'make dist-test PYTHONS="3.11"' in str(raised.value)


def test_the_spool_of_a_newer_version_is_refused_with_the_sentence_of_the_page(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "upgrade.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| (\d+) \|", page, re.MULTILINE)[-1] == str(VERSION)
    file = tmp_path / FILE_NAME
    create(file)
    with closing(sqlite3.connect(file)) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(ForwarderError) as raised:
        look_at(file)
    assert str(raised.value).replace(str(tmp_path), "/var/lib/tie-forwarder/spool") in page
