"""Tracing an event: where one that is known by its id or its file stands, among spool, output and dead letters.

Only reads. It looks into the spool first and into Kafka afterwards, so that what is published meanwhile is not missed.
"""
