r"""Measures models for deployment: size, load time, time of a picture, FLOPs, memory, accuracy.

--model is a version folder, or several, comma-separated: a SavedModel of trainer.export, or a model
that serving.convert wrote for OpenVINO, ONNX Runtime or LiteRT. Each is measured in a process of
its own, on all cores. With --data, the accuracy on validation pictures is measured, and what a
model loses in comparison with the first one.

  size      of all files of the version folder
  picture   median time from the bytes of a file to the answer, of one picture and of one in 16
  FLOPs     floating-point operations of one picture; a multiplication and an addition are two
  memory    largest memory of the process, less that before loading

Example:
  python -m serving.measure --data=run/shards \
    --model=run/models/product_categories/1,run/converted/product_categories/1
"""

from absl import flags

from catalog import command_line, manifest
from catalog.networks import spec
from serving.convert.options import check_exported
from serving.measure.isolated import measure_alone
from serving.measure.table import format_table

_MODEL = flags.DEFINE(
    command_line.TENSORFLOW_FOLDERS, 'model', None, 'Version folders.', required=True
)
_DATA = flags.DEFINE(
    command_line.FOLDER, 'data', None, 'Data set to measure the accuracy on (validation).'
)
_PICTURES = flags.DEFINE_integer(
    'pictures', 1000, 'Validation pictures to measure the accuracy on.', lower_bound=1
)


def main(argv: list[str]) -> None:
    """Prints the table."""
    del argv
    for folder in _MODEL.value:
        if not spec.is_there(folder):
            check_exported(folder)
    if _DATA.value:
        manifest.read(_DATA.value)
    measured = [
        measure_alone(folder, data=_DATA.value, pictures=_PICTURES.value) for folder in _MODEL.value
    ]
    print(format_table(_MODEL.value, measured))


if __name__ == '__main__':
    command_line.run(main)
