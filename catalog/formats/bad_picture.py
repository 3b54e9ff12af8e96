"""The exception for a picture that cannot be used."""

REMEDY = 'convert it to JPEG (serving.query and trainer.predict do so)'


class BadPicture(ValueError):
    """Bytes that are not a usable image; `reason` is their key in the ledger."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
