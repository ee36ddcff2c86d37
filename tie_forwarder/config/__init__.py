"""The configuration: frozen models, one for each component, and how they are loaded and verified.

`load` reads one YAML file, lets environment variables and then flags override it, and raises `ConfigError` with every
fault at once; it touches nothing else. `verify` (in `verification`, because it loads the libraries that read
certificates) looks at what the configuration refers to on this machine.
"""

from tie_forwarder.config.faults import ConfigError, Fault
from tie_forwarder.config.loading import load
from tie_forwarder.config.model import Config

__all__ = ["Config", "ConfigError", "Fault", "load"]
