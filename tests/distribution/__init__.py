"""What people install: sdist, wheel, man page, completions, SBOM.

`python -m tests.distribution.shipped` writes the files that are made from the command line, `python -m
tests.distribution` installs and tries what `make dist` made on each Python.
"""
