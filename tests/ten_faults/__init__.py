"""Ten faults, made for real to a real forwarder, and the words that it shows for each: `python -m tests.ten_faults`.

`stage` has the servers and a forwarder for each fault, `faults` makes them, `shown` collects what stands in `/status`,
on the page, in `status`, in the log and in `check --connect`, `table` writes it into docs/runbook.md.
"""
