"""A dozen payloads in each format, as they must stay: `python -m tests.golden` writes the files anew."""
