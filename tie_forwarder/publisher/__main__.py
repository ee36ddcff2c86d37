"""The entry of the publisher process."""

from tie_forwarder.publisher.process import main

main()
