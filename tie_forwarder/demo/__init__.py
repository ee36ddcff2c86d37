"""The demo: a fabric, a Kafka and their certificates, embedded on loopback ports for as long as somebody looks at them.

Nothing here is used by the daemon, and nothing here is meant for production: the servers keep everything in memory and
promise only what a demo needs.
"""
