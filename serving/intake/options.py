"""Limits of a gateway, as checked values."""

from dataclasses import dataclass, fields

from catalog.errors import UserError

_MAY_BE_ZERO = ('waiting', 'unready_seconds')
MAX_FORM_BYTES = 64 << 10  # of a request, beside its photos: boundaries, headers, fields


@dataclass(frozen=True)
class Limits:
    """Limits of a gateway. All are positive, `waiting` and `unready_seconds` also 0.

    Attributes:
      photo_mb: Largest photo, in MiB.
      photos: Most photos of a request.
      megapixels: Largest photo, in 10**6 pixels.
      buffered_mb: Bodies of all requests that are being received, in MiB.
      running: Requests at the same time in the model's server.
      waiting: Requests that may wait for it.
      upload_seconds: Time to receive a request.
      timeout_seconds: Time to answer a received request.
      unready_seconds: Time after SIGTERM in which requests are still accepted.
      drain_seconds: Time to answer the received requests after SIGTERM.
    """

    photo_mb: float = 20
    photos: int = 16
    megapixels: float = 50
    buffered_mb: float = 512
    running: int = 16
    waiting: int = 64
    upload_seconds: float = 30
    timeout_seconds: float = 10
    unready_seconds: float = 0
    drain_seconds: float = 20

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            flag = FLAGS[field.name]
            if field.name in _MAY_BE_ZERO:
                if not value >= 0:
                    raise UserError(f'--{flag} must be at least 0, got {value:g}')
            elif not value > 0:
                raise UserError(f'--{flag} must be positive, got {value:g}')

    @property
    def photo_bytes(self) -> int:
        """Largest photo, in bytes."""
        return int(self.photo_mb * (1 << 20))

    @property
    def body_bytes(self) -> int:
        """Largest body of a request."""
        return self.photos * self.photo_bytes + MAX_FORM_BYTES

    @property
    def buffered_bytes(self) -> int:
        """Bodies of all requests that are being received; at least one of them fits."""
        return max(int(self.buffered_mb * (1 << 20)), self.body_bytes)


FLAGS = {  # the flag of each limit
    'photo_mb': 'max_photo_mb',
    'photos': 'max_photos',
    'megapixels': 'max_megapixels',
    'buffered_mb': 'max_buffered_mb',
    'running': 'max_running',
    'waiting': 'max_waiting',
    'upload_seconds': 'upload_seconds',
    'timeout_seconds': 'timeout_seconds',
    'unready_seconds': 'unready_seconds',
    'drain_seconds': 'drain_seconds',
}
