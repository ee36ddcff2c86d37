"""`python -m tests.bench`: how fast the forwarder is beside the bare sample, on the same machine in the same run.

Figures are ratios of medians: rates of one run on one machine mean something against each other only. Nothing here is
asserted, and no test is timed.
"""
