"""Whatever stands in the files and the environment: a configuration or faults, within a second, and never a secret."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tie_forwarder.cli import invoke
from tie_forwarder.config import Config, ConfigError, load
from tie_forwarder.config.fabric_file import FabricFile
from tie_forwarder.config.faults import SHOWN, is_section, leaf_options
from tie_forwarder.config.list_files import list_faults
from tie_forwarder.config.verification import verify
from tie_forwarder.errors import ForwarderError
from tie_forwarder.settings import publisher_configuration, receiver_configuration
from tie_forwarder.supervisor.reload import inputs_of

REFERENCE = Path(__file__).parents[2] / "config.yaml"
MUTATIONS = int(os.environ.get("TIE_FORWARDER_MUTATIONS", "400"))
SECONDS = 1.0
MARKER = "Hunter2-s3cr3t"

TOKENS = [
    "!!bool x", "!!int x", "!!float x", "!!timestamp x", "!!binary \xff", "!!null x", "!!set {a, b}", "!!omap [a: 1]",
    "!!pairs [a: 1]", "!!python/object:os.system x", "!x y", "!<tag:x> y", "&a [*a]", "&a {b: *a}", "*b", "&a", "<<: 5",
    "<<: [1, {a: b}]", "? [a]", "? {a: b}\n: c", "[" * 3000, "{a: " * 300, "- " * 300, "\t", "\x00", "\x07", "\x85",
    "\u2028", "\ufeff", "\U000e0041", "~", "null", "=", "0x" + "f" * 2000, "9" * 5000, "1" + ":1" * 3000, "1e999",
    ".inf", ".nan", "-.inf", "-1", "2001-01-01", "2001-99-99", "0o9", "'", '"', '"\\0"', '"a\\0b"', "|", ">", "|9",
    "%YAML 9.9", "%TAG ! x", "---", "...", "--- a\n--- b", "@", "`", "#", ": ", "- -", "{}", "[]", "yes",
    "a: b: c", "'\ud7ff'",
    "9999999999999999999999999GiB", "1e400GiB", "-5GiB", "nanGiB", "x" * 70_000,
]  # fmt: skip


def mutated(text: str, random_: random.Random) -> bytes:
    """The text with one to four changes of any kind."""
    for _ in range(random_.randint(1, 4)):
        lines = text.split("\n")
        place, number = random_.randrange(len(text) + 1), random_.randrange(len(lines))
        change = random_.randrange(8)
        if change == 0:
            text = text[:place] + random_.choice(TOKENS) + text[place:]
        elif change == 1:
            text = text[:place] + text[place + random_.randint(1, 40) :]
        elif change == 2:
            name, colon, _ = lines[number].partition(":")
            lines[number] = f"{name}{colon} {random_.choice(TOKENS)}"
            text = "\n".join(lines)
        elif change == 3:
            lines[number] = " " * random_.randint(0, 6) + lines[number].lstrip()
            text = "\n".join(lines)
        elif change == 4:
            lines.insert(random_.randrange(len(lines)), lines[number])
            text = "\n".join(lines)
        elif change == 5:
            text = text[:place]
        elif change == 6:
            text = (
                text[:place] + chr(random_.choice([*range(0x20), *range(0x7F, 0x100), 0x2028, 0xFEFF])) + text[place:]
            )
        else:
            lines[number] = lines[number].replace("# ", "", 1)
            text = "\n".join(lines)
    content = text.encode("utf-8", "surrogatepass")
    if random_.random() < 0.1:
        place = random_.randrange(len(content) + 1)
        content = content[:place] + random_.randbytes(random_.randint(1, 4)) + content[place:]
    return content


def used(config: Config) -> None:
    """What the daemon does with a configuration that it has loaded."""
    verify(config)
    inputs_of(config, [])
    json.dumps(receiver_configuration(config), allow_nan=False)
    try:
        json.dumps(publisher_configuration(config, resume=None), allow_nan=False)
    except ForwarderError:
        return


def loaded(file: Path, **environ: str) -> Config | ConfigError:
    """The configuration, or the faults, each with its place and remedy; within a second."""
    began = time.process_time()
    try:
        found: Config | ConfigError = load(file, environ=environ)
        assert isinstance(found, Config)
        used(found)
    except ConfigError as error:
        found = error
    if isinstance(found, ConfigError):
        assert found.faults
        assert all(fault.place and fault.message and str(fault) for fault in found.faults)
    assert time.process_time() - began < SECONDS
    return found


@pytest.mark.parametrize("part", range(4))
def test_a_mutated_file_is_a_configuration_or_a_fault(tmp_path: Path, part: int) -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    # Half of them with every option in force: the reference shows some only as comments.
    given = "\n".join(
        line.replace("# ", "", 1) if line.startswith("  #") and ": " in line else line for line in text.split("\n")
    )
    file = tmp_path / "config.yaml"
    faulty = 0
    for number in range(part, MUTATIONS, 4):
        random_ = random.Random(number)
        content = mutated(given if number % 2 else text, random_)
        file.write_bytes(content)
        try:
            faulty += isinstance(loaded(file), ConfigError)
        except BaseException:
            print(f"mutation {number}: {content[:4000]!r}")
            raise
    assert faulty > MUTATIONS / 4 / 10  # else the mutations change nothing


LAUGHS = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 25))
MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 25))
CASES: dict[str, bytes] = {
    "control character": b"log:\n  level: in\x07fo\n",
    "NUL": b"log:\n  level: in\0fo\n",
    "nested": b"log: " + b"[" * 3000,
    "nested in blocks": b"".join(b" " * n + b"a:\n" for n in range(400)),
    "timestamp": b"log: {level: !!timestamp x}",
    "bool": b"log: {level: !!bool x}",
    "int": b"log: {level: !!int x}",
    "long number": b"spool: {max_bytes: 1" + b":1" * 60_000 + b"}",
    "hex number": b"spool: {max_bytes: 0x" + b"f" * 100_000 + b"}",
    "NUL in a path": b'spool: {directory: "a\\0b"}',
    "NUL in another path": b'filters: {hashes_file: "a\\0b"}',
    "aliases": LAUGHS.encode(),
    "merges": MERGES.encode(),
    "alias of itself": b"log: &a {level: *a}",
    "alias of a list": b"kafka: {producer: {x: &a [*a]}}",
    "merge of itself": b"log: &a {<<: *a}",
    "list as a name": b"log: {? [a, b] : c}",
    "mapping as a name": b"? {a: b}\n: c\n",
    "name twice": b"log: {level: info}\nlog: {level: info}\n",
    "date as a value": b"kafka: {producer: {linger_ms: 2001-01-01}}",
    "date as the client id": b"kafka: {producer: {client_id: 2001-01-01}}",
    "infinite": b"shutdown: {drain_seconds: .inf}",
    "infinite option": b"kafka: {producer: {client_id: .inf}}",
    "endless size": b"spool: {max_bytes: 1e400GiB}",
    "UTF-16": "log: {level: info}".encode("utf-16"),
    "UTF-16 without a mark": "log: {level: info}".encode("utf-16-le"),
    "latin-1": b"log: {level: \xe9}",
    "binary": bytes(range(256)) * 8,
    "two documents": b"log: {}\n---\nlog: {}\n",
    "too large": b"#" * 200_000,
    "many": b"a: 1\n" * 20_000,
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_malformed_file_is_a_fault_with_its_place_and_remedy(tmp_path: Path, case: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(CASES[case])
    found = loaded(file)
    assert isinstance(found, ConfigError)
    for fault in found.faults:
        assert str(file) in fault.place
        assert fault.remedy
    assert len(str(found)) < 20_000


@pytest.mark.parametrize("case", ["", "\ufeff", "\ufefflog: {level: debug}", "log: {}\n...\n", "a"])
def test_an_empty_or_small_file_is_read(tmp_path: Path, case: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(case.encode())
    assert isinstance(loaded(file), ConfigError) is (case == "a")


def special_files(directory: Path) -> Iterator[Path]:
    """What is not a readable regular file."""
    os.mkfifo(directory / "fifo")
    yield from (directory / "fifo", directory, Path("/dev/zero"), Path("/dev/tty"), directory / "gone")
    (directory / "loop").symlink_to("loop")
    yield directory / "loop"
    yield directory / ("long" * 100)
    yield directory / "config.yaml" / "below a file"


def test_a_special_file_is_a_fault_and_never_waited_for(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("log: {level: info}")
    for path in special_files(tmp_path):
        found = loaded(path)
        assert isinstance(found, ConfigError)
        assert "cannot be read" in str(found)


def test_every_file_that_is_named_may_be_a_special_one(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    for path in special_files(tmp_path):
        for option in ("ca_file", "certificate_file", "key_file", "key_password_file"):
            beside = ", certificate_file: x" if option == "key_file" else ""
            file.write_text(f"kafka: {{security: {{protocol: ssl, {option}: '{path}'{beside}}}}}")
            assert isinstance(loaded(file), Config)
        file.write_text(
            f"dxl: {{config_file: '{path}'}}\nfilters: {{hashes_file: '{path}', agents_file: '{path}'}}\n"
            f"spool: {{directory: '{path}'}}\n"
        )
        config = loaded(file)
        assert isinstance(config, Config)
        assert {fault.field for fault in verify(config)} >= {"dxl.config_file"}
        assert len(list(list_faults(config.filters))) == 2


FABRIC = """\
[General]
ClientId = x
[Certs]
BrokerCertChain = ca.crt
CertFile = client.crt
PrivateKey = client.key
[Brokers]
a = a;8883;host;127.0.0.1
b = 8883;host
[Proxy]
Address = proxy
Port = 8080
"""
FABRIC_TOKENS = [
    "a," + " " * 3000 + "'", "%(x)s", "%(ClientId)s", "%(a)s", "%", "%%", "$x", "[", "[[", "[" * 500 + "x" + "]" * 500,
    "]", "=", "'''", '"""',
    '"', "'", ",", ";" * 50, "\u00b2;8883;h", "\u00b2\u00b3", "9" * 5000, "\x00", "\ufeff", "\xff", "#", "a = b",
    "{", "\\", "[Brokers]", "[Certs]", "x" * 70_000, "\n", "\r", "a = %(a)s",
]  # fmt: skip


def test_a_mutated_dxlclient_config_is_read_or_is_a_fault(tmp_path: Path) -> None:
    file = tmp_path / "dxlclient.config"
    for number in range(MUTATIONS):
        random_ = random.Random(number)
        text = FABRIC
        for _ in range(random_.randint(1, 4)):
            place = random_.randrange(len(text) + 1)
            cut = random_.choice([0, 0, 1, 20])
            text = text[:place] + random_.choice(FABRIC_TOKENS) + text[place + cut :]
        file.write_bytes(text.encode())
        fabric = FabricFile(file=file, place="config.yaml, line 1")
        for fault in fabric.faults():
            assert str(fault)
            assert fault.remedy
        assert isinstance(fabric.brokers(), list)
        assert isinstance(fabric.proxy, str)
        assert isinstance(fabric.by_websockets, bool)
        for setting in ("BrokerCertChain", "CertFile", "PrivateKey"):
            fabric.certificate(setting)


HOSTILE_VALUES = [
    "", " ", "x", "\udcff", "[", "{", '{"a":', "[" * 100_000, '{"a":' * 900, '{"a": {"b": 1}}', "null", "NaN", "1e999",
    "9" * 5000, "!!bool x", "!!timestamp x", "*a", "&a", "a: b", "\x07", "\u202e", "-1", "true", "[1, 2]", '["a", {}]',
    "::1:9092", "http://[::1", "http://a\u2100b/", "a" * 100_000,
]  # fmt: skip


def test_every_variable_of_the_environment_may_have_any_value(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("")
    names = {option[:length] for option in leaf_options() for length in range(1, len(option) + 1)}
    names |= {
        ("kafka", "producer", "linger_ms"),
        ("kafka", "producer", "x"),
        ("a",) * 2000,
        ("kafka", "producer", *"abc"),
    }
    for option in sorted(names):
        variable = "TIE_FORWARDER_" + "__".join(option).upper()
        for value in HOSTILE_VALUES:
            loaded(file, **{variable if len(option) > 1 else f"{variable}__": value})


# Secrets


def mangled(secret: str) -> list[str]:
    """A secret as it may come to be written in YAML by mistake."""
    forms = """S 'S' "S" [S] {S} {password:S} {password:_S} {S:_S,_S:_1} me:S@kafka:9092 me:S:kafka:9092
        https://me:S@registry http://[S https://registry/?token=S //S '[S' !!bool_S !!int_S !!timestamp_S !!binary_S
        !!float_S !!null_S !S_x *S &S @S %S S:_x:_y "S "S\\q" [S |S 5S 2001-01-01TS 0xS 'it''s"S'_x *it's"S S\x07"""
    json_ = [json.dumps({"password": secret}), json.dumps(json.dumps({"password": secret})), f'{{"password": "{secret}']
    below = [f"\n    - {secret}", f"\n    {secret}: x", f"\n  password:{secret}", f"\n    password: {secret}\n" * 2]
    return [form.replace("_", " ").replace("S", secret) for form in forms.split()] + json_ + below


SECTIONS = sorted(
    {option[:length] for option in leaf_options() for length in range(1, len(option))} - {("kafka", "format")}
)
NOT_SHOWN = [option for option in leaf_options() if ".".join(option) not in SHOWN]


@pytest.mark.parametrize(
    "option", [*SECTIONS, *NOT_SHOWN, ("pasword",), ("kafka", "security", "sasl", "pasword")], ids=".".join
)
def test_no_form_of_a_secret_in_any_place_is_shown(tmp_path: Path, option: tuple[str, ...]) -> None:
    file = tmp_path / "config.yaml"
    # With what makes the option take effect, so that it is the value that is judged.
    context = {"TIE_FORWARDER_KAFKA__SECURITY__PROTOCOL": "sasl_ssl"} if "sasl" in option else {}
    variable = "TIE_FORWARDER_" + "__".join(option).upper()
    for form in mangled(MARKER):
        text = "".join(f"{'  ' * level}{name}:\n" for level, name in enumerate(option))
        file.write_text(f"{text.rstrip()} {form}\n", encoding="utf-8")
        with_file = loaded(file, **context)
        shown = str(with_file) if isinstance(with_file, ConfigError) else "\n".join(map(str, verify(with_file)))
        file.write_text("", encoding="utf-8")
        if len(option) > 1:
            with_environment = loaded(file, **context, **{variable: form})
            if isinstance(with_environment, ConfigError):
                shown += str(with_environment)
        assert MARKER.lower() not in shown.lower(), form


@pytest.mark.parametrize("verb", ["check", "run", "status", "replay"])
def test_no_output_of_a_verb_shows_a_secret_that_was_rejected(tmp_path: Path, verb: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(f"kafka:\n  bootstrap_servers: me:{MARKER}:kafka:9092\n  security: 'password={MARKER}'\n")
    environment = {
        **os.environ,
        "TIE_FORWARDER_KAFKA__SECURITY__SASL": f'{{"password": "{MARKER}"',
        "TIE_FORWARDER_KAFKA__PRODUCER": f"{{sasl_plain_password: {MARKER}}}",
        "TIE_FORWARDER_KAFKA__SCHEMA_REGISTRY__URL": f"https://registry/?token={MARKER}",
        "TIE_FORWARDER_KAFKA__PRODUCER__SASL_PLAIN_PASSWORD": f"!!bool {MARKER}",
    }
    for arguments in ([], ["--set", f"kafka.security.sasl.password:{MARKER}"], ["--set", f"={MARKER}"]):
        command = [sys.executable, "-m", "tie_forwarder", verb, "--config", str(file), *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == (2 if arguments else 78), done.stderr
        assert MARKER not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


def test_a_password_given_as_the_name_of_its_file_is_not_shown(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.yaml"
    sasl = f"mechanism: PLAIN, username: u, password_file: {MARKER}"
    registry = f"url: 'https://r', username: u, password_file: {MARKER}"
    file.write_text(f"kafka: {{security: {{protocol: sasl_ssl, sasl: {{{sasl}}}}}, schema_registry: {{{registry}}}}}\n")
    assert invoke(["check", "--config", str(file)]) == 78
    assert invoke(["check", "--connect", "--json", "--config", str(file)]) == 78
    output = capfd.readouterr()
    assert "kafka.security.sasl.password_file" in output.err
    assert MARKER not in output.out + output.err


def test_every_option_whose_values_are_shown_exists() -> None:
    names = {".".join(option) for option in leaf_options()}
    assert {name for name in SHOWN if name not in names and not is_section(tuple(name.split(".")))} == set()
