"""A kind that was taken out of `dxl.events` while events of it wait in the spool: they are published all the same.

The way through real processes is in `test_events_end_to_end.py`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.data.payloads import SAMPLES, message
from tie_forwarder.config import Config, load
from tie_forwarder.errors import ForwarderError
from tie_forwarder.events.message import TOPICS
from tie_forwarder.intake import Accepted, Intake
from tie_forwarder.publisher.listed_reader import ListedReader, UnlistedKind
from tie_forwarder.settings import publisher_configuration
from tie_forwarder.spool import Changes, Incoming, Spool
from tie_forwarder.supervisor.publisher_watch import PublisherWatch


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "config.yaml").write_text("", encoding="utf-8")
    return load(tmp_path / "config.yaml", environ={})


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """A detection, then a first instance."""
    directory = tmp_path / "spool"
    intake = Intake(fabric="main", key_by="none", kinds=tuple(TOPICS))
    spool = Spool(directory=directory, max_bytes=1 << 30, drop_oldest=True)
    spool.open()
    for kind in ("detection", "first_instance"):
        accepted = intake.accept(message(SAMPLES[kind], topic=TOPICS[kind], message_id=""))
        assert isinstance(accepted, Accepted)
        spool.apply(Changes(incoming=[Incoming(accepted.record, None)]))
    spool.close()
    return directory


def test_a_row_of_an_unlisted_kind_is_named_and_the_listed_ones_are_read(spool: Path) -> None:
    reader = ListedReader(spool, destinations=["detection", "dead_letter"])
    reader.open()
    assert [row.record.destination for row in reader.read(after=0, through=1, limit=10).rows] == ["detection"]
    with pytest.raises(UnlistedKind) as unlisted:
        reader.read(after=0, through=2, limit=10)
    assert unlisted.value.destination == "first_instance"
    reader.close()
    reader = ListedReader(spool, destinations=list(TOPICS))
    reader.open()
    assert len(reader.read(after=0, through=2, limit=10).rows) == 2
    reader.close()


def test_the_next_publisher_knows_the_topic(config: Config) -> None:
    watch = PublisherWatch(first_role="standby", monotonic=lambda: 0.0)
    watch.on_unlisted("first_instance")
    watch.started()
    topics = publisher_configuration(config, resume=None, unlisted=watch.unlisted)["topics"]
    assert list(topics) == ["detection", "first_instance", "dead_letter"]
    assert list(publisher_configuration(config, resume=None)["topics"]) == ["detection", "dead_letter"]


def test_a_kind_of_a_newer_version_is_one_sentence_with_its_remedy(config: Config) -> None:
    with pytest.raises(ForwarderError) as refused:
        publisher_configuration(config, resume=None, unlisted=["file_prevalence_change"])
    assert "file_prevalence_change" in refused.value.message
    assert "version" in refused.value.remedy
