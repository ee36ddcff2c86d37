"""Apache Kafka on this machine: the cached jars, the nodes of a cluster, and its administration."""
