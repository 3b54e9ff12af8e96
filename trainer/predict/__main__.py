r"""Predicts the category of every product of an input, as a CSV file.

--model is one exported version folder, or several, comma-separated: several predict with the mean
of their calibrated probabilities. --input is what the shard job reads: BSON files, local or remote,
comma-separated, with wildcards (.gz files are decompressed); a MongoDB collection; a folder or a
list of photos; or shards. A product without a decodable picture gets the most common category
(confidence: its share; level 0) and is counted. If the input has categories of the model's tree,
the accuracy is printed, and --true_category writes them as the last column. Without categories,
a folder directly in a folder of photos is a product; --[no]product_folders decides where that is
not certain.

The rows are in the order of the input, photos in that of their paths: `_id,category_id`, and with
--top_k=5 --confidence --level also category_id_2 to _5, confidence to confidence_5, and the deepest
level of the tree whose summed confidence reaches the threshold (1 to 8, or 0).

The same command resumes after an interruption, even kill -9, and writes the same bytes. The output
gets its name when it is complete.

Examples:
  python -m trainer.predict --model=run/models/product_categories/1 --input=test.bson \
    --output=submission.csv
  python -m trainer.predict --model=models/a/1,models/b/3 --input='gs://BUCKET/test-*.bson' \
    --output=submission.csv --top_k=3 --confidence --level
  python -m trainer.predict --model=models/shop/1 --input=new_photos --output=answers.csv
"""

from absl import flags

from catalog import command_line, storage
from catalog.predictions import predicting, row_flags
from catalog.source_flags import definitions
from catalog.sources import mongo_read
from catalog.terminal import counted
from trainer import startup

flags.adopt_module_key_flags(definitions)
flags.adopt_module_key_flags(row_flags)

_MODEL = flags.DEFINE(
    command_line.PATHS, 'model', None, 'Version folders of exported models.', required=True
)
_INPUT = flags.DEFINE(
    command_line.PathsParser(schemes=(*storage.SCHEMES, *mongo_read.SCHEMES)),
    'input',
    None,
    'What the shard job reads: BSON files, a MongoDB collection, a folder or a list of photos; or '
    'shards, or the folder of a data set with predict- shards.',
    required=True,
)
_OUTPUT = flags.DEFINE(command_line.PATH, 'output', None, 'CSV file to write.', required=True)
_THRESHOLD = flags.DEFINE_float(
    'threshold', None, "Minimum summed confidence of a level; by default the first model's."
)
_CHUNK_PRODUCTS = flags.DEFINE_integer(
    'chunk_products', predicting.CHUNK_PRODUCTS, 'Products in a batch.'
)
_OVERWRITE = flags.DEFINE_bool('overwrite', False, 'Replace an existing or incomplete output.')


def main(argv: list[str]) -> None:
    """Parses the flags, predicts, and prints the counts."""
    del argv
    startup.start(run_operation=True)
    from trainer.predict import dump_predictions  # TensorFlow takes seconds: not for --help

    counts = dump_predictions.predict(
        models=_MODEL.value,
        pattern=_INPUT.value,
        output=_OUTPUT.value,
        options=dump_predictions.PredictOptions(
            columns=row_flags.columns(),
            threshold=_THRESHOLD.value,
            chunk_products=_CHUNK_PRODUCTS.value,
            overwrite=_OVERWRITE.value,
        ),
        source=definitions.source_options(),
    )
    read = f'{counted(counts.products, "product")}, {counted(counts.pictures, "picture")}'
    print(f'written to {_OUTPUT.value}: {read}')
    if counts.labelled:
        print(
            f'accuracy {counts.correct / counts.labelled:.4f}: {counts.correct:,} of '
            f'{counted(counts.labelled, "labelled product")}'
        )
    if counts.unknown:
        print(
            f'{counted(counts.unknown, "product")} with a category that the tree of the model does '
            'not have'
        )
    if counts.unusable_pictures or counts.unseen_products:
        print(
            f'skipped {counted(counts.unusable_pictures, "undecodable picture")}; '
            f'{counted(counts.unseen_products, "product")} without a decodable picture got the '
            'most common category'
        )


if __name__ == '__main__':
    command_line.run(main)
