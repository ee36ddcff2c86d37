"""The TIE events: what a DXL message must be to count as one, and how its payload becomes a validated model.

A *kind* (`kinds.py`) is one module: its DXL topic, CloudEvents type, pydantic model and wire transformation.
`document.py` reads the JSON of every kind, `digests.py` the hashes, `decoding.py` puts them together; `reasons.py` is
the closed set of reasons why a payload is no event, `identity.py` names each event. Nothing here does I/O or knows of
Kafka.
"""
