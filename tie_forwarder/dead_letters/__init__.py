"""The dead letters in Kafka: what each says, and how they are replayed.

`letters` reads their topic up to an end fixed beforehand, `replay` judges them by today's rules, `producer` publishes
what is valid now, each event and its marker in one transaction.
"""
