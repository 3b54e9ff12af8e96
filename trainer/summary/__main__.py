r"""Summarizes a run, from its data set to a server's responses, as text and as an HTML page.

The page needs no other file. `make run` ends with this command. It reads the evaluation in
WORKDIR/report. Exits with code 2 if the transports returned different responses.

Example:
  python -m trainer.summary --data=run/shards --workdir=run/work \
      --export=run/models/product_categories/1 --answers=run/rest.json,run/grpc.json \
      --output=run/index.html
"""

import sys

from absl import flags

from catalog import command_line, storage
from catalog.errors import UserError

_DATA = flags.DEFINE(command_line.PATH, 'data', None, 'Folder of the data set.', required=True)
_WORKDIR = flags.DEFINE(
    command_line.PATH, 'workdir', None, 'Folder of the training run.', required=True
)
_EXPORT = flags.DEFINE(
    command_line.PATH, 'export', None, 'Version folder of the exported model.', required=True
)
_ANSWERS = flags.DEFINE(
    command_line.PATHS,
    'answers',
    [],
    'JSON files of serving.query, one for each transport, for the same images.',
)
_OUTPUT = flags.DEFINE(command_line.PATH, 'output', None, 'HTML file to write.', required=True)


def main(argv: list[str]) -> None:
    """Parses the flags, writes the page, and prints the summary."""
    del argv
    from trainer.summary import artifacts, facts, page, text

    run = artifacts.read_run(
        data=_DATA.value, workdir=_WORKDIR.value, export=_EXPORT.value, answers=_ANSWERS.value
    )
    outputs = facts.list_outputs(
        data=_DATA.value, workdir=_WORKDIR.value, export=_EXPORT.value, page=_OUTPUT.value
    )
    storage.write_bytes(_OUTPUT.value, page.render_page(run, outputs))
    print(text.format_summary(run, outputs, bold=sys.stdout.isatty()))
    if run.differing:
        raise UserError(
            f'{run.differing[0]}: the responses must be the same over every transport, '
            'got different ones'
        )


if __name__ == '__main__':
    command_line.run(main)
