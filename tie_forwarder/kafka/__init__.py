"""Everything that touches kafka-python: connections, producer, transactions, reading, administration and errors.

Takes plain settings and records; knows neither the configuration nor the spool. kafka-python's traps, by the version
they were measured with, are handled here and nowhere else.
"""
