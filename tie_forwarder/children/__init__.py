"""How the main process and its children speak: frames over pipes, a shared end of life, one log.

A child is started as `python -P -m tie_forwarder.<child>`. Its standard input brings one JSON line, its configuration,
and then control lines; its standard output carries frames and nothing else; its standard error carries log lines as
JSON. It dies when its parent dies, however that happens.
"""
