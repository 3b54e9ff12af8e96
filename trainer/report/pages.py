"""Self-contained HTML pages, from the templates of this package."""

import base64
from pathlib import Path
from typing import Any

import jinja2

from catalog.formats import image_header

SMALL_IMAGE = 64  # pixels; a page enlarges narrower images without smoothing

_TEMPLATES = Path(__file__).parent / 'templates'


def render(template: str, **values: Any) -> bytes:
    """Returns a page from a template of this package; values are escaped.

    Raises:
      jinja2.UndefinedError: If the template uses a value that was not given.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters['number'] = lambda value: f'{value:,}'
    environment.filters['percent'] = lambda share: f'{100 * share:.1f} %'
    environment.filters['nbsp'] = lambda text: text.replace(' %', '\N{NO-BREAK SPACE}%')
    return environment.get_template(template).render(values).encode()


def data_uri(data: bytes) -> str:
    """Returns an image as a data URI, which embeds it in a page.

    Raises:
      catalog.formats.image_header.BadPicture: If the bytes are not an image.
    """
    kind = image_header.read_header(data).format
    return f'data:image/{kind};base64,{base64.b64encode(data).decode()}'
