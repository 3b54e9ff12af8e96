"""A store's own message in one printable line, from the body of its response."""

import contextlib
import html
import json
import re

_MOST_LETTERS = 300
_XML_MESSAGE = re.compile(r'<Message>(.*?)</Message>', re.DOTALL)


def from_body(body: str) -> str:
    """Returns the message in a body: Google's JSON, Amazon's or Azure's XML, or plain text.

    Empty if the body is of another kind, such as a page of HTML.
    """
    if found := _XML_MESSAGE.search(body):
        body = html.unescape(found[1]).split('\nRequestId:')[0]
    with contextlib.suppress(ValueError, TypeError, LookupError, RecursionError):
        body = str(json.loads(body)['error']['message'])
    if not body.strip() or body.lstrip().startswith(('<', '{', '[')):  # HTML, XML, other JSON
        return ''
    printable = ''.join(letter if letter.isprintable() else ' ' for letter in body)
    return ' '.join(printable.split())[:_MOST_LETTERS].rstrip('.')
