"""What is written to Kafka: the record of an event, and the dead letter of what is none. Sending is the publisher's."""
