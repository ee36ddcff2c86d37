"""The container image, run as a container runtime runs it; `make image-test`."""
