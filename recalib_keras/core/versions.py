"""Which packages are installed, in which version."""

from collections.abc import Iterable
from importlib import metadata


def installed_versions(packages: Iterable[str]) -> dict[str, str]:
    """Returns the version of each package that is installed, in the given order.

    Args:
        packages: Names of packages, as pip knows them. Those that are not installed are left out.

    Example:
        >>> list(installed_versions(["keras", "no-such-package"]))
        ['keras']
    """
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
