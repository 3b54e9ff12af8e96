r"""Categories for every product of a BSON dump, as a CSV in the form of Kaggle's submissions.

--model names one exported version folder, or several, comma-separated: these answer with the mean
of their calibrated probabilities. --input names BSON files, local or gs://, comma-separated, with
wildcards; .gz is unpacked on the way. A product whose pictures cannot be used gets the category
that most products have (confidence: its share; level 0), and is counted.

The rows follow the products of the files: `_id,category_id`, and with --top_k=5 --confidence
--level also category_id_2 to _5, confidence to confidence_5, and how deep in the tree the answer
can be trusted (1 to 3; 0: not at all).

Stopped or killed, the same command goes on where it was, and gives the same bytes. The output has
its name when it is whole.

Examples:
  python -m trainer.predict --model=run/models/product_categories/1 --input=test.bson \
    --output=submission.csv
  python -m trainer.predict --model=models/a/1,models/b/3 --input='gs://BUCKET/test-*.bson' \
    --output=submission.csv --top_k=3 --confidence --level
"""

from absl import flags

from catalog import command_line
from trainer import startup as tensorflow_start

_MODEL = flags.DEFINE_list('model', None, 'Version folders of exported models.', required=True)
_INPUT = flags.DEFINE_string('input', None, 'BSON files with products.', required=True)
_OUTPUT = flags.DEFINE_string('output', None, 'CSV file to write.', required=True)
_TOP_K = flags.DEFINE_integer('top_k', 1, 'Categories a product.')
_CONFIDENCE = flags.DEFINE_bool('confidence', False, 'Also write the confidence of each category.')
_LEVEL = flags.DEFINE_bool('level', False, 'Also write the deepest level that can be trusted.')
_THRESHOLD = flags.DEFINE_float(
    'threshold', None, "Summed confidence from which a level is trusted; the first model's."
)
_CHUNK_PRODUCTS = flags.DEFINE_integer('chunk_products', 128, 'Products a model is asked at once.')
_OVERWRITE = flags.DEFINE_bool('overwrite', False, 'Replace an output, or the beginning of one.')


def main(argv: list[str]) -> None:
    """Reads the flags, predicts, prints what was done."""
    del argv
    tensorflow_start.start()
    from trainer.predict import (
        dump_predictions as predicting,  # TensorFlow takes seconds: not for --help
    )
    from trainer.predict.submission import Columns

    counts = predicting.predict(
        models=_MODEL.value,
        pattern=_INPUT.value,
        output=_OUTPUT.value,
        options=predicting.Options(
            columns=Columns(_TOP_K.value, confidence=_CONFIDENCE.value, level=_LEVEL.value),
            threshold=_THRESHOLD.value,
            chunk_products=_CHUNK_PRODUCTS.value,
            overwrite=_OVERWRITE.value,
        ),
    )
    print(f'written to {_OUTPUT.value}: {counts.products:,} products, {counts.pictures:,} pictures')
    if counts.unusable_pictures or counts.unseen_products:
        print(
            f'{counts.unusable_pictures:,} pictures could not be used; {counts.unseen_products:,} '
            'products without any that can have the most common category'
        )


if __name__ == '__main__':
    command_line.run(main)
