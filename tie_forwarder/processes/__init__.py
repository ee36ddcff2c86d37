"""Child processes: how the main process starts them, what they exchange, and how they end and log.

A child is started as `python -P -m tie_forwarder.<child>`. Its first line of standard input is its configuration as
JSON; control lines follow. Standard output carries frames and nothing else; standard error carries log lines as JSON.
A child dies with its parent, however the parent dies.
"""
