"""Uploaded files, as pictures that the model takes. A bad one is an error with its name."""

from collections.abc import Callable, Sequence
from typing import Any

from anyio import CapacityLimiter, to_thread
from fastapi import UploadFile

from catalog import terminal
from catalog.formats.image_header import BadPicture, read_header
from serving.intake.errors import RequestFailure
from serving.intake.options import Limits

LARGE_PIXELS = 1 << 23  # 8 megapixels, 25 MB of RGB
_MAX_NAME = 80  # characters

_SENTENCES = {
    'empty': '{photo} is empty; choose the file again.',
    'not_a_picture': '{photo} is not a picture; send JPEG, PNG, WebP or GIF.',
    'heic': '{photo} is a HEIC photo, which cannot be read; send it as JPEG.',
    'unsupported': '{photo} has a format that cannot be read ({detail}); send it as JPEG.',
    'too_large': '{photo} has too many pixels ({detail}); send a smaller one.',
    'corrupt': '{photo} is damaged ({detail}); send the original file.',
}
_OTHER = '{photo} cannot be used ({detail}); send another photo.'


class Photos:
    """Reads and prepares photos, a few at a time; of large ones, which take memory, one."""

    def __init__(self, prepare: Callable[[bytes], Any], *, limits: Limits, threads: int) -> None:
        """`prepare` is a backend's."""
        self._prepare = prepare
        self._limits = limits
        self._limiter = CapacityLimiter(threads)
        self._large = CapacityLimiter(1)

    async def read(self, files: Sequence[UploadFile]) -> dict[str, bytes]:
        """Returns the bytes of uploaded files by name, in their order.

        Raises:
          RequestFailure: If there are too many, or one is too large.
        """
        if len(files) > self._limits.photos:
            raise RequestFailure(
                413,
                'too_many_photos',
                f'A request can have {self._limits.photos} photos, got {len(files)}; use fewer.',
            )
        photos: dict[str, bytes] = {}
        for number, file in enumerate(files, start=1):
            name = _name(file.filename, number, photos)
            if (file.size or 0) > self._limits.photo_bytes:
                raise RequestFailure(
                    413,
                    'photo_too_large',
                    f'{name} is larger than {self._limits.photo_mb:g} MB; send a smaller one.',
                    photo=name,
                )
            photos[name] = await file.read()
        return photos

    async def prepare(self, photos: dict[str, bytes]) -> list[Any]:
        """Returns what the backend sends of each photo.

        Raises:
          RequestFailure: For the first bad photo, by its name.
        """
        return [await self._prepare_one(name, data) for name, data in photos.items()]

    async def _prepare_one(self, name: str, data: bytes) -> Any:
        try:
            header = read_header(data)
            pixels = header.width * header.height
            if pixels > self._limits.megapixels * 1e6:
                raise BadPicture(
                    'too_large',
                    f'{header.width}x{header.height}, at most {self._limits.megapixels:g} million',
                )
            limiter = self._large if pixels > LARGE_PIXELS else self._limiter
            return await to_thread.run_sync(
                self._prepare, data, limiter=limiter, abandon_on_cancel=True
            )
        except BadPicture as error:
            sentence = _SENTENCES.get(error.reason, _OTHER).format(photo=name, detail=error)
            raise RequestFailure(422, error.reason, sentence, photo=name) from error


def _name(filename: str | None, number: int, taken: dict[str, bytes]) -> str:
    name = terminal.escape(filename or '').strip()[-_MAX_NAME:]
    if not name:
        return f'photo {number}'
    return name if name not in taken else f'{name} (photo {number})'
