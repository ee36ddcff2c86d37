"""The publisher: a process of its own, crash-only, and the only place where kafka-python produces.

It reads the spool in order beside its writer, sends a batch, looks at every future, and reports what Kafka has; the
main process removes it from the spool. After an error of the producer the error's class and cause are reported and the
process ends: kafka-python has states that it never leaves, and a new process goes on from the spool in the same order.
"""
