"""Groups of forwarders under faults: the stage they play on, the faults, and the campaign that strikes with them.

The flow: a *stage* has one Kafka, and for each member a forwarder and a fabric of its own; the *load* numbers the
detections and a *feed* brings them to each member, or withholds or delays them; a *fault* strikes; a *follower* reads
the output as consumers do. At the end the judge says whether each number stands once. `python -m tests.groups` runs a
campaign.
"""
