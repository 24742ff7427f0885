"""What a page would fetch from elsewhere: readers in a hospital have no internet."""

import re

_FETCHES = re.compile(
    r"<(?:script|img|iframe|video|source|link)\b[^>]*?\b(?:src|href)=[\"']?((?:https?:)?//[^\"'\s>]+)"
)


def fetched(html: str) -> list[str]:
    """Returns the addresses that a browser fetches to show a page, other than the site's own.

    Args:
        html: The page. Links that a reader may follow do not count.
    """
    return [address for tag, address in _tags(html) if 'rel="canonical"' not in tag]


def _tags(html):
    return [(match[0], match[1]) for match in _FETCHES.finditer(html)]
