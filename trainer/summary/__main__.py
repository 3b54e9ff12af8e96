r"""Tells what a run did, from data to answers: on the terminal, and as one HTML page.

The page needs nothing else: pictures and photos are inside. What `make run` ends with. Evaluate
first, into WORKDIR/report. Exits with code 2 if the transports gave different answers.

Example:
  python -m trainer.summary --data=run/shards --workdir=run/workdir \
      --export=run/models/product_categories/1 --answers=run/rest.json,run/grpc.json \
      --output=run/index.html
"""

import sys

from absl import flags

from catalog import command_line, storage
from catalog.errors import UserError

_DATA = flags.DEFINE_string('data', None, 'Folder of the data set.', required=True)
_WORKDIR = flags.DEFINE_string('workdir', None, 'Folder of the training run.', required=True)
_EXPORT = flags.DEFINE_string('export', None, 'Version folder of the model.', required=True)
_ANSWERS = flags.DEFINE_list('answers', [], 'Files that serving.query --json wrote.')
_OUTPUT = flags.DEFINE_string('output', None, 'HTML file to write.', required=True)


def main(argv: list[str]) -> None:
    """Reads the flags, writes the page, prints."""
    del argv
    from trainer.summary import artifacts as run_record
    from trainer.summary import facts as summary_facts
    from trainer.summary import page as summary_page
    from trainer.summary import text as summary_text

    run = run_record.read(
        data=_DATA.value, workdir=_WORKDIR.value, export=_EXPORT.value, answers=_ANSWERS.value
    )
    places = summary_facts.places(
        data=_DATA.value, workdir=_WORKDIR.value, export=_EXPORT.value, output=_OUTPUT.value
    )
    storage.write_bytes(_OUTPUT.value, summary_page.page(run, places))
    print(summary_text.text(run, places, bold=sys.stdout.isatty()))
    if run.differing:
        raise UserError(
            f'{run.differing[0]}: every transport must give the same answer, got different ones'
        )


if __name__ == '__main__':
    command_line.run(main)
