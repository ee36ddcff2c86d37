"""Forwards McAfee/Trellix TIE events, detections above all, from an OpenDXL fabric to Apache Kafka topics.

The flow: the *receiver* (a process of its own, the only user of dxlclient) takes every message raw and hands it over a
pipe; *intake* decodes and validates it into a record, or into a dead letter that keeps its bytes; the *spool*, an
SQLite file, accepts it; the *publisher* (a process of its own, the only user of kafka-python) reads the spool in order
and publishes; an event leaves the spool only when Kafka is proven to have it. The *supervisor* watches all of them by
their progress and replaces what stands still.

The guarantee: what the spool has accepted survives the death of every process and reaches Kafka. DXL itself delivers at
most once, so what is published while no forwarder is subscribed is gone.
"""

__version__ = "0.1.0"
