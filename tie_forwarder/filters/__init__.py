"""The filters: which valid events are not forwarded, by trust level, by hash and by endpoint.

Declarative and small: each filter is one question about one event, whose answer is final; there is no language. An
event is filtered by what it says, never by what it does not say. What is filtered is counted, and nothing else is kept
of it. `list_file.py` and `loading.py` read files; the filters themselves are pure.
"""
