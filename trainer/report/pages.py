"""HTML pages that stand alone: template and values in, bytes out; pictures become data URIs."""

import base64
from pathlib import Path
from typing import Any

import jinja2

from catalog.formats import image_header

_TEMPLATES = Path(__file__).parent / 'templates'


def render(template: str, **values: Any) -> bytes:
    """A page from a template of this package; values are escaped.

    Raises:
      jinja2.UndefinedError: if the template asks for a value that was not given.
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
    return environment.get_template(template).render(values).encode()


def data_uri(data: bytes) -> str:
    """A picture's bytes as the address of themselves.

    Raises:
      catalog.formats.image_header.BadPicture: if the bytes are not a picture.
    """
    kind = image_header.read_header(data).format
    return f'data:image/{kind};base64,{base64.b64encode(data).decode()}'
