"""The rules of a group: which member publishes, and which events are already in Kafka.

Pure: `member` asks for what it needs by `commands` and receives the answers, so that `tests/simulation` can run it
against thousands of schedules. `window` holds the ids that Kafka has. Must not do I/O or read a clock.
"""
