"""`check --connect`: tries everything the service needs, once, beside a running service or before the first start.

`session` plans the areas and bounds their time; each area is tried in a process of its own, so that one that hangs can
be killed. An area is a generator of findings; `findings` lists every line that can appear. Nothing is changed, except
topics that the user asked to create, and no running service is disturbed: the fabric sees another client id, Kafka no
producer, the spool no lock.
"""
