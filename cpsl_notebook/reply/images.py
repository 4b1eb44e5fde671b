"""Images in a reply: shown when embedded, linked when they would have to be fetched.

Fetching an image tells its sender that the reply is being read, so remote images are shown only if
the user allows them.
"""

from __future__ import annotations

import re
from html import escape
from typing import Any
from urllib.parse import urlsplit

from cpsl_notebook.sanitize import clean

__all__ = ["image_html", "image_text", "is_embedded_image", "link_html"]

# No SVG: a program that shows a saved notebook may open it as a document, with its scripts.
_EMBEDDED = re.compile(r"data:image/(png|jpe?g|gif|webp);base64,[A-Za-z0-9+/]+={0,2}")
_MAX_URL = 8_000  # characters of a web address; no server accepts longer ones
_MAX_WIDTH = 2_000  # pixels
_UNSUITABLE = "neither a web address nor an embedded PNG, JPEG, GIF or WebP"
_REMOTE = (
    "its server would learn that you view it; <code>%config CapsuleMagics.remote_images = True</code> "
    "loads it"
)


def is_embedded_image(url: str) -> bool:
    """Return whether a URL contains an image in a format that is safe to show."""
    return _EMBEDDED.fullmatch(url) is not None


def image_html(url: str, alt: str, width: Any = None, *, remote_images: bool = False) -> str:
    """Return an image as HTML.

    Parameters
    ----------
    url : str
        The image's URL, which may be a ``data:`` URL.
    alt : str
        The description.
    width : int, optional
        The width in pixels; an invalid value is ignored.
    remote_images : bool
        Whether images of other servers are shown.

    Returns
    -------
    str
        An ``img`` element; or in brackets the description, with a link to a remote image, and why
        the image is not shown.

    Examples
    --------
    >>> image_html("file:///chart.png", "a chart").partition(";")[0]
    '[image: a chart'
    """
    alt = clean(alt)
    is_remote = _is_web_address(url)
    if is_embedded_image(url) or (is_remote and remote_images):
        valid_width = type(width) is int and 0 < width <= _MAX_WIDTH
        width_attribute = f' width="{width}"' if valid_width else ""
        return (
            f'<img src="{escape(url)}" alt="{escape(alt)}"{width_attribute} '
            'referrerpolicy="no-referrer" style="max-width:100%">'
        )
    description = escape(alt or "no description")
    if not is_remote:
        return f"[image: {description}; not shown, because it is {_UNSUITABLE}]"
    return f"[remote image, not loaded: {link_html(url, alt or 'no description')}; {_REMOTE}]"


def image_text(url: str, alt: str) -> str:
    """Return an image as text.

    Examples
    --------
    >>> image_text("https://pictures.example/cat.png", "a cat")
    '[image: a cat https://pictures.example/cat.png]'
    """
    address = f" {clean(url)}" if _is_web_address(url) else ""
    return f"[image: {clean(alt) or 'no description'}{address}]"


def link_html(url: str, label: str) -> str:
    """Return a link to a web page, or only its label if the URL is not one of the web."""
    if not _is_web_address(url):
        return escape(clean(label))
    return f'<a href="{escape(clean(url))}" target=_blank rel=noreferrer>{escape(clean(label))}</a>'


def _is_web_address(url: str) -> bool:
    try:
        return len(url) <= _MAX_URL and urlsplit(url).scheme.lower() in ("http", "https")
    except ValueError:
        return False
