"""Whether scikit-learn is installed, which only some studies need."""

from recalib_keras.core.errors import missing_package


def check_scikit_learn(what: str) -> None:
    """Checks that scikit-learn is installed.

    Args:
        what: What needs it, for the message.

    Raises:
        ImportError: It is not installed.
    """
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise missing_package(what, "scikit-learn", 'pip install "recalib-keras[tune]"') from error
