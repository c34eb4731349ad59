"""What can go wrong when a geo table is installed?"""

from __future__ import annotations


class GeoInstallError(Exception):
    """A table could not be installed; nothing was changed. The text says why and what to do."""

    code = "geo_not_installed"
