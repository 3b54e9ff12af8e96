"""A service's own message in one printable line, from its response or the error of its client."""

import contextlib
import html
import json
import re

_MOST_LETTERS = 300
_XML_MESSAGE = re.compile(r'<Message>(.*?)</Message>', re.DOTALL)
_REQUEST = re.compile(r'(\d{3} )?[A-Z]+ https?://\S+: ')  # with which Google's clients begin


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
    return _one_line(body)


def from_google_error(error: BaseException) -> str:
    """Returns the message in an error of Google's clients, without the status and the address."""
    return _one_line(_REQUEST.sub('', str(getattr(error, 'message', None) or error), count=1))


def _one_line(text: str) -> str:
    printable = ''.join(letter if letter.isprintable() else ' ' for letter in text)
    return ' '.join(printable.split())[:_MOST_LETTERS].rstrip('.')
