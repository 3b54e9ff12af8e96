"""A bucket `shop` on loopback in the store of each scheme, and an independent client for it.

`gs://` is fsouza/fake-gcs-server, `s3://` is moto, `az://` is Microsoft's Azurite, which npm has.
"""

import base64
import contextlib
import email.utils
import hashlib
import hmac
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

import boto3
import botocore.exceptions
import pytest

from tests import gcs_emulator, ports

_ROOT = Path(__file__).resolve().parents[1]
_ACCOUNT = 'devstoreaccount1'  # Azurite's, with the key that its documentation publishes
_KEY = 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=='


@dataclass(frozen=True)
class Bucket:
    """The bucket `shop` of a store.

    Attributes:
      scheme: The beginning of its paths, such as `s3://`.
      url: The address of the store.
      environment: Returns the environment variables with which clients use the store, or a proxy,
        at an address.
      read: Reads an object without this project's code; None if it does not exist.
      write: Writes an object without this project's code.
      names: Lists the names of all objects without this project's code.
    """

    scheme: str
    url: str
    environment: Callable[[str], dict[str, str]]
    read: Callable[[str], bytes | None]
    write: Callable[[str, bytes], None]
    names: Callable[[], list[str]]

    def path(self, name: str) -> str:
        """Returns the path of an object."""
        return f'{self.scheme}shop/{name}'

    def objects(self, folder: str) -> dict[str, bytes | None]:
        """Returns every object in a folder, by relative name."""
        prefix = folder + '/'
        return {
            name.removeprefix(prefix): self.read(name)
            for name in self.names()
            if name.startswith(prefix)
        }


@contextlib.contextmanager
def running(scheme: str) -> Iterator[Bucket]:
    """Runs a store with an empty bucket. Skips the test if it is not installed."""
    start = {'gs://': _google, 's3://': _amazon, 'az://': _azure}[scheme]
    with start() as bucket:
        yield bucket


@contextlib.contextmanager
def _google() -> Iterator[Bucket]:
    with gcs_emulator.running_store() as url:
        bucket = gcs_emulator.client(url).create_bucket('shop')

        def read(name: str) -> bytes | None:
            blob = bucket.get_blob(name)
            return blob and blob.download_as_bytes()

        yield Bucket(
            'gs://',
            url,
            environment=lambda url: {'STORAGE_EMULATOR_HOST': url},
            read=read,
            write=lambda name, data: bucket.blob(name).upload_from_string(data),
            names=lambda: [blob.name for blob in bucket.list_blobs()],
        )


@contextlib.contextmanager
def _amazon() -> Iterator[Bucket]:
    with _server([sys.executable, '-m', 'moto.server', '-p']) as url:
        environment = {
            'AWS_ACCESS_KEY_ID': 'test',
            'AWS_SECRET_ACCESS_KEY': 'test',
            'AWS_REGION': 'us-east-1',
        }
        client = boto3.client(
            's3',
            endpoint_url=url,
            aws_access_key_id='test',
            aws_secret_access_key='test',
            region_name='us-east-1',
        )
        client.create_bucket(Bucket='shop')

        def read(name: str) -> bytes | None:
            try:
                return client.get_object(Bucket='shop', Key=name)['Body'].read()
            except botocore.exceptions.ClientError:
                return None

        def names() -> list[str]:
            pages = client.get_paginator('list_objects_v2').paginate(Bucket='shop')
            return [found['Key'] for page in pages for found in page.get('Contents', [])]

        yield Bucket(
            's3://',
            url,
            environment=lambda url: {**environment, 'AWS_ENDPOINT_URL': url},
            read=read,
            write=lambda name, data: client.put_object(Bucket='shop', Key=name, Body=data),
            names=names,
        )


@contextlib.contextmanager
def _azure() -> Iterator[Bucket]:
    program = shutil.which('azurite-blob', path=f'{_ROOT}/.azurite/node_modules/.bin')
    program = program or shutil.which('azurite-blob')
    if not program:
        pytest.skip('Azurite is not installed: npm install --prefix .azurite azurite')
    options = ['--inMemoryPersistence', '--skipApiVersionCheck', '--silent', '--blobPort']
    with _server([program, *options]) as url:
        container = f'{url}/{_ACCOUNT}/shop'
        # A public container: plain HTTP reads it.
        _request('PUT', f'{container}?restype=container', {'x-ms-blob-public-access': 'container'})

        def read(name: str) -> bytes | None:
            try:
                with urllib.request.urlopen(f'{container}/{quote(name)}') as response:
                    return response.read()
            except urllib.error.HTTPError:
                return None

        def names() -> list[str]:
            with urllib.request.urlopen(f'{container}?restype=container&comp=list') as response:
                return [name.text for name in ElementTree.parse(response).iterfind('.//Name')]

        def write(name: str, data: bytes) -> None:
            _request('PUT', f'{container}/{quote(name)}', {'x-ms-blob-type': 'BlockBlob'}, data)

        yield Bucket(
            'az://',
            url,
            environment=lambda url: {
                'AZURE_STORAGE_ACCOUNT_NAME': _ACCOUNT,
                'AZURE_STORAGE_ACCOUNT_KEY': _KEY,
                'AZURE_STORAGE_ENDPOINT': f'{url}/{_ACCOUNT}',
            },
            read=read,
            write=write,
            names=names,
        )


def _request(method: str, url: str, headers: dict[str, str], data: bytes = b'') -> None:
    """Sends a request with Azure's signature (Authorize with Shared Key)."""
    signed = {
        **headers,
        'x-ms-date': email.utils.formatdate(usegmt=True),
        'x-ms-version': '2021-08-06',
    }
    path, _, query = url.partition(f'/{_ACCOUNT}/')[2].partition('?')
    kind = 'application/octet-stream'
    lines = [method, '', '', str(len(data) or ''), '', kind, '', '', '', '', '', '']
    lines += [f'{name}:{signed[name]}' for name in sorted(signed)]
    lines += [f'/{_ACCOUNT}/{_ACCOUNT}/{path}', *([query.replace('=', ':')] if query else [])]
    digest = hmac.new(base64.b64decode(_KEY), '\n'.join(lines).encode(), hashlib.sha256).digest()
    signed['Authorization'] = f'SharedKey {_ACCOUNT}:{base64.b64encode(digest).decode()}'
    signed['Content-Type'] = kind
    urllib.request.urlopen(
        urllib.request.Request(url, method=method, data=data, headers=signed)
    ).close()


@contextlib.contextmanager
def _server(command: list[str]) -> Iterator[str]:
    """Runs a server, whose last argument is its port; yields its URL."""
    port = ports.find_free_port()
    process = subprocess.Popen(
        [*command, str(port)],
        env={**os.environ, 'NODE_OPTIONS': ''},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f'http://127.0.0.1:{port}'
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(url).close()
            except urllib.error.HTTPError:
                break  # it answers
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                break
        yield url
    finally:
        process.kill()
        process.wait()
