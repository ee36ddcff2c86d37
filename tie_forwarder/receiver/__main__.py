"""The entry of the receiver process."""

from tie_forwarder.receiver.process import main

main()
