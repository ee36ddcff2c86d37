"""Our decoders against the real callbacks of dxltieclient, on payloads without end.

hypothesis makes documents (`documents.py`), each is varied a hundred times (`variations.py`), and `comparison.py`
judges every payload: equal, or a dead letter of ours with a reason of the closed list, and a harmless one is never a
dead letter. `python -m tests.differential --count 100000` runs it at length.
"""
