"""Derives what a run remembers of its data set."""

from catalog.errors import UserError
from trainer.config import TrainConfig
from trainer.data import feature_shards, sampling
from trainer.data.data_set import DataInfo, DataSet
from trainer.data.examples import example_spec


def data_info(data: DataSet, config: TrainConfig) -> DataInfo:
    """Returns what a run remembers of its data set.

    Raises:
      UserError: If the data set has no labelled train split, its records are of a kind that the
        config does not read, or the loss has levels that its category tree does not have.
    """
    train = data.split('train')
    if len(train.pictures_per_class) != data.num_classes:
        raise UserError(f'{data.folder}: training needs labelled data, these shards have no labels')
    if not sum(train.pictures_per_class):
        raise UserError(f'{data.folder}: training needs pictures, the train split has none')
    levels = config.loss.levels
    if levels != 'leaf' and not data.categories.parents:
        raise UserError(
            f'{data.folder}: loss.levels must be leaf for a category tree of one level, got '
            f'{levels!r}; set --config.loss.levels=leaf'
        )
    feature_shards.check(data.manifest, config.model, config.input, folder=data.folder)
    return DataInfo(
        digest=data.digest,
        num_classes=data.num_classes,
        examples_per_class=sampling.examples_per_epoch(
            example_spec(config).count_per_class(train),
            train.products_per_class,
            power=config.input.sampling_power,
        ),
        natural_prior=tuple(data.manifest.priors['natural']),
    )
