r"""Converts an exported model for OpenVINO, ONNX Runtime or LiteRT, faster on a processor.

--output is DIR/MODEL/VERSION, as of trainer.export, and written atomically. serving.model_server
serves it like the SavedModel: the same signatures, category names, calibration and prior. Pictures
are decoded outside of the network, by the same rule (docs/serving_speed.md).

--precision: fp32; bf16 (OpenVINO; needs a processor with AVX-512 BF16 or AMX to be faster); int8,
which is calibrated on train pictures of --data. With --data, the answers are compared with those of
the model on validation pictures; an int8 network that agrees on less than 98 % is refused.

Examples:
  python -m serving.convert --model=run/models/product_categories/1 --to=openvino \
    --precision=int8 --data=run/shards --output=run/converted/product_categories/1
  python -m serving.convert --model=models/shop/7 --to=onnx --output=models/shop_onnx/7
"""

from absl import flags

from catalog import command_line
from catalog.errors import UserError
from catalog.networks.network import PRECISIONS, RUNTIMES
from catalog.process import optional_libraries, startup_messages
from serving.convert.options import Conversion, check_folders

_MODEL = flags.DEFINE(
    command_line.LOCAL_FOLDER, 'model', None, 'Version folder of an exported model.', required=True
)
_TO = flags.DEFINE_enum('to', None, RUNTIMES, 'The runtime to convert for.', required=True)
_OUTPUT = flags.DEFINE(
    command_line.LOCAL_PATH,
    'output',
    None,
    'DIR/MODEL/VERSION, the folder to write.',
    required=True,
)
_PRECISION = flags.DEFINE_enum('precision', 'fp32', PRECISIONS, 'Precision of the network.')
_DATA = flags.DEFINE(
    command_line.FOLDER,
    'data',
    None,
    'Data set to calibrate on (train) and compare on (validation).',
)
_CALIBRATION = flags.DEFINE_integer('calibration_pictures', 300, 'Pictures to calibrate int8 on.')
_VALIDATION = flags.DEFINE_integer('validation_pictures', 1000, 'Pictures to compare answers on.')


def main(argv: list[str]) -> None:
    """Converts the model."""
    del argv
    conversion = Conversion(
        model=_MODEL.value,
        output=_OUTPUT.value,
        runtime=_TO.value,
        precision=_PRECISION.value,
        data=_DATA.value,
        calibration_pictures=_CALIBRATION.value,
        validation_pictures=_VALIDATION.value,
    )
    check_folders(conversion)
    with startup_messages.hide():
        try:
            with optional_libraries.skip():
                import tensorflow as tf

            tf.constant(0, tf.uint8)  # logs warnings about missing hardware, also oneDNN's
            tf.get_logger().setLevel('ERROR')  # hides deprecation warnings
            from serving.convert.conversion import convert
        except ModuleNotFoundError as error:
            raise UserError(
                f"{error.name} is not installed; pip install 'product-categories[serve,fast]'"
            ) from error
    with startup_messages.hide():
        agreement = convert(conversion, report=lambda line: print(line, flush=True))
    if agreement:
        print(
            f'agreement  {agreement.top1:.1%} of {agreement.pictures:,} validation pictures have '
            f'the same category\n'
            f'confidence differs by at most {agreement.confidence:.4f}\n'
            f'accuracy   {agreement.accuracy:.1%}, of the model {agreement.source_accuracy:.1%}'
        )
    print(f'written to {_OUTPUT.value}')


if __name__ == '__main__':
    command_line.run(main)
