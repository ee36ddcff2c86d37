"""The dead letters as they stand in Kafka: what each says, and how they are replayed.

`letter.py` reads a record of their topic, `topic.py` all of them up to an end that is fixed beforehand, `replay.py`
judges them by today's rules, `counts.py` keeps the score. Nothing here knows of kafka-python: `kafka_queries` reads,
`publisher/replaying.py` writes.
"""
