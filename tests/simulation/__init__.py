"""A model of a whole group in virtual time: fabric, members, Kafka, and faults between any two effects.

The rules (`Member.life`) and the window are the real ones; everything around them is a model that errs in the ways that
were seen of the real thing. One seed makes one schedule, and the same seed makes the same schedule again:
`python -m tests.simulation SEED` prints it step by step.
"""
