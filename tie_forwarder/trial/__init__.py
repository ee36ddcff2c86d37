"""The trial: everything that the service needs is tried once, beside a running service or before the first one.

`session` plans it and holds it to its time; each area is tried in a process of its own (`process`), so that whatever
hangs is left by ending the process: `certificates`, `fabric` (one process for each broker), `kafka` with `topics`,
`transactions` and `clock`, `registry`, `disk`, `port`. An area is a generator of findings (`finding`); `lines` names
all that there are. Nothing is changed, but for topics that are to be created, and no running service is disturbed: the
fabric sees another client id, Kafka no producer, the spool no lock.
"""
