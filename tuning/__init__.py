"""Search for a better recipe: on one device, several, or a cluster.

Nothing heavy is loaded before it is used.
"""

import importlib

_PLACES = {
    "Chief": "chief",
    "RecipeHyperModel": "hypermodel",
    "RemoteChief": "service",
    "Results": "results",
    "Space": "space",
    "Study": "study",
    "StudyError": "study",
    "Trial": "trials",
    "launch": "launching",
    "read_results": "results",
    "search": "launching",
    "serve": "launching",
    "work": "worker",
    "write_report": "reporting.report",
}
__all__ = sorted(_PLACES)


def __getattr__(name):
    if name in _PLACES:
        return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
