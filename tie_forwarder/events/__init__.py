"""What a valid TIE event is, and how the payload of a DXL message becomes one.

Each kind is a module with its DXL topic, CloudEvents type, pydantic model and wire form. `decoding` reads the JSON of
every kind; `reasons` is the closed set of reasons why a payload is invalid; `message` names each event. Pure: nothing
here does I/O or knows Kafka.
"""
