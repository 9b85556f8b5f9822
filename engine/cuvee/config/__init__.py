"""What does the configuration say? ``cuvee.toml`` and ``products/<name>.toml``, as frozen, checked models."""

from cuvee.config.access import AuthConfig, CertificateConfig, JwtConfig, Scope
from cuvee.config.files import Files
from cuvee.config.limits import Limits
from cuvee.config.reading import apart, load_settings, read_settings
from cuvee.config.server import ServerConfig, Tls
from cuvee.config.settings import Instance, Settings
from cuvee.config.store import PrivacyConfig, StoreConfig

__all__ = [
    "AuthConfig",
    "CertificateConfig",
    "Files",
    "Instance",
    "JwtConfig",
    "Limits",
    "PrivacyConfig",
    "Scope",
    "ServerConfig",
    "Settings",
    "StoreConfig",
    "Tls",
    "apart",
    "load_settings",
    "read_settings",
]
