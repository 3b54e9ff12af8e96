"""What to convert, checked. Imports no TensorFlow, so that a mistake is reported at once."""

from dataclasses import dataclass

from catalog import atomic_folder, categories, storage
from catalog.errors import UserError
from catalog.model_versions import names
from catalog.networks.network import Precision, RuntimeName
from serving.shard_pictures import labelled

SAVED_MODEL = 'saved_model.pb'


@dataclass(frozen=True)
class Conversion:
    """What to convert, and into what.

    Attributes:
      model: Version folder of an exported model.
      output: DIR/MODEL/VERSION, a folder that does not exist.
      runtime: The runtime to convert for.
      precision: The precision that the network computes in.
      data: A data set of the model's category tree: int8 is calibrated on its train pictures, and
        the answers are compared on its validation pictures. None compares nothing.
      calibration_pictures: Number of pictures to calibrate on.
      validation_pictures: Number of pictures to compare on.
    """

    model: str
    output: str
    runtime: RuntimeName
    precision: Precision
    data: str | None = None
    calibration_pictures: int = 300
    validation_pictures: int = 1000

    def __post_init__(self) -> None:
        names.read_path(self.output, flag='output')
        if self.precision == 'bf16' and self.runtime != 'openvino':
            raise UserError(
                f'--precision=bf16 needs --to=openvino, got {self.runtime}, which computes in fp32 '
                'and int8 on a processor'
            )
        if self.precision == 'int8' and self.data is None:
            raise UserError(
                '--precision=int8 needs --data, the data set to calibrate on and to compare with'
            )
        for name in ('calibration_pictures', 'validation_pictures'):
            if getattr(self, name) < 1:
                raise UserError(f'--{name} must be at least 1, got {getattr(self, name)}')


def check_folders(conversion: Conversion) -> None:
    """Checks the folders of a conversion before anything is loaded.

    Raises:
      UserError: If the model is none, the output exists, or the data set has another category tree.
    """
    check_exported(conversion.model)
    atomic_folder.check_absent(conversion.output)
    if conversion.data is not None:
        tree = categories.load(storage.join(conversion.model, 'assets', categories.FILE_NAME))
        labelled.check_categories(conversion.data, tree.sha256)


def check_exported(folder: str) -> None:
    """Checks that a folder is a version of an exported model.

    Raises:
      UserError: If it has no SavedModel.
    """
    if not storage.exists(storage.join(folder, SAVED_MODEL)):
        raise UserError(
            f'{folder}: --model must be a version folder that trainer.export wrote, such as '
            f'models/shop/1; it has no {SAVED_MODEL}'
        )
