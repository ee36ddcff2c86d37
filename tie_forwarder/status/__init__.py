"""What the forwarder reports about itself: conditions, health, components, trends, wording and metrics.

Facts go in, a report comes out. Must not do I/O; the supervisor gathers the facts and `http` serves the report.
"""
