"""A real schema registry, started, hung, killed and started again: Apicurio through its Confluent-compatible API."""
