"""A whole Debian with a running systemd, in which the package and the installed service are tried: `make deb-test`."""
