"""Search for a better recipe: on one device, on several, or on a cluster.

Modules are loaded when a name is used, so that the import stays fast.
"""

import importlib
from typing import Any

_PLACES = {
    "RecipeHyperModel": "tuning.space.hypermodel",
    "Results": "tuning.reporting.results",
    "Search": "tuning.driver",
    "Space": "tuning.space.space",
    "Study": "tuning.study",
    "StudyError": "core.errors",
    "Trial": "tuning.trials.trial",
    "read_results": "tuning.reporting.results",
    "search": "tuning.driver",
    "Workers": "core.spreading.workers",
    "write_report": "tuning.reporting.report",
}
__all__ = sorted(_PLACES)


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(importlib.import_module(f"recalib_keras.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
