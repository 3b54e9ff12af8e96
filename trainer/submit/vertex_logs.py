"""The logs of a job, from Cloud Logging.

Entries arrive some seconds late and not in order, so each request asks for the last minute again.
"""

import datetime
from dataclasses import dataclass
from typing import Any

from google.auth import credentials
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import AuthorizedSession
from requests import RequestException

from trainer.submit.vertex_client import endpoint, find_credentials
from trainer.submit.vertex_job import Job

_LATE_SECONDS = 60.0
_PAGE_ENTRIES = 1000
_REQUEST_SECONDS = 60.0


@dataclass(frozen=True)
class LogLine:
    """A line that a process of a job wrote.

    Attributes:
      process: Name of the process, such as workerpool0-0.
      text: The line.
    """

    process: str
    text: str


class JobLogs:
    """Reads the logs of a job, each entry once."""

    def __init__(self, job: Job) -> None:
        """Raises a `UserError` if there are no credentials."""
        self._address = endpoint(
            'CLOUDSDK_API_ENDPOINT_OVERRIDES_LOGGING', default='https://logging.googleapis.com'
        )
        found: credentials.Credentials = find_credentials(self._address)
        self._http = AuthorizedSession(found)
        _, project, *_, number = job.name.split('/')
        self._request = {
            'resourceNames': [f'projects/{project}'],
            'orderBy': 'timestamp asc',
            'pageSize': _PAGE_ENTRIES,
        }
        self._filter = f'resource.type="ml_job" AND resource.labels.job_id="{number}"'
        self._seen: dict[str, str] = {}  # insertId -> timestamp
        self._newest = ''

    def read_new(self) -> tuple[list[LogLine], str]:
        """Returns the entries that were not returned before.

        Returns:
          The lines, and the reason why no more could be read; empty if there is none.
        """
        lines: list[LogLine] = []
        page_key = ''
        try:
            while True:
                page = self._read_page(page_key)
                lines += self._unseen(page.get('entries', []))
                page_key = page.get('nextPageToken', '')
                if not page_key:
                    break
        except (RequestException, GoogleAuthError, ValueError) as error:
            return lines, str(error)
        self._forget()
        return lines, ''

    def _read_page(self, page_key: str) -> dict[str, Any]:
        since = f' AND timestamp>="{_earlier(self._newest)}"' if self._newest else ''
        body = {**self._request, 'filter': self._filter + since}
        if page_key:
            body['pageToken'] = page_key
        url = f'{self._address}/v2/entries:list'
        response = self._http.post(url, json=body, timeout=_REQUEST_SECONDS)
        response.raise_for_status()
        page: dict[str, Any] = response.json()
        return page

    def _unseen(self, entries: list[dict[str, Any]]) -> list[LogLine]:
        lines = []
        for entry in entries:
            if entry['insertId'] in self._seen:
                continue
            self._seen[entry['insertId']] = entry['timestamp']
            process = entry.get('resource', {}).get('labels', {}).get('task_name', '')
            payload = entry.get('jsonPayload', {})
            text = payload.get('message') or entry.get('textPayload') or ''
            lines += [LogLine(process, line) for line in str(text).splitlines() or ['']]
        return lines

    def _forget(self) -> None:
        """Keeps the entries that a request may return again."""
        self._newest = max(self._seen.values(), default=self._newest)
        if self._newest:
            oldest = _earlier(self._newest)
            self._seen = {key: time for key, time in self._seen.items() if time >= oldest}


def _earlier(timestamp: str) -> str:
    """Returns a time of RFC 3339 a minute earlier, in UTC."""
    time = datetime.datetime.fromisoformat(timestamp) - datetime.timedelta(seconds=_LATE_SECONDS)
    return time.astimezone(datetime.UTC).strftime('%Y-%m-%dT%H:%M:%S.%fZ')
