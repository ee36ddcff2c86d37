"""HTTP: the status page, /metrics, /healthz, /readyz and /status, answered from what the main loop last wrote down.

No request ever touches dxlclient, Kafka or the spool; waitress keeps slow and broken clients away from the daemon.
"""
