"""Search for a better recipe: on one device, on several, or on a cluster.

Modules are loaded when a name is used, so that the import stays fast.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recalib_keras.core.errors import StudyError
    from recalib_keras.core.spreading.workers import Workers
    from recalib_keras.tuning.driver import Search, search
    from recalib_keras.tuning.reporting.report import write_report
    from recalib_keras.tuning.reporting.results import Results, read_results
    from recalib_keras.tuning.space.hypermodel import RecipeHyperModel
    from recalib_keras.tuning.space.space import Space
    from recalib_keras.tuning.study import Study
    from recalib_keras.tuning.trials.trial import Trial

__all__ = [
    "RecipeHyperModel",
    "Results",
    "Search",
    "Space",
    "Study",
    "StudyError",
    "Trial",
    "Workers",
    "read_results",
    "search",
    "write_report",
]

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


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(importlib.import_module(f"recalib_keras.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
