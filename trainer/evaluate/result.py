"""The result of an evaluation: every value that its reports show."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from trainer.evaluate.showcase import SampleImages, Showcase
from trainer.metrics.calibration import FittedTemperatures
from trainer.metrics.classification import Confusion
from trainer.metrics.coverage import Coverage, CoverageCurve
from trainer.metrics.label_errors import LabelErrors
from trainer.metrics.level_roc import LevelRoc
from trainer.metrics.prediction_table import Predictions
from trainer.metrics.roc_auc import RocAuc
from trainer.metrics.shots import ShotMetrics
from trainer.metrics.subset_metrics import SubsetMetrics
from trainer.undecodable.place import Place


@dataclass(frozen=True)
class EvaluationResult:
    """Metrics of a model on a split. All but the four subsets are per product.

    Attributes:
      split: Split that was evaluated.
      step: Step of the evaluated checkpoint.
      product_rule: How a product's probabilities are computed, in words.
      tta: Test-time augmentation, `flip` or `none`.
      data_digest: SHA-256 of the data set's manifest, in hex.
      products: All products.
      products_without_leaked: Without the products that have a picture which is also in train.
      pictures: All pictures.
      pictures_without_leaked: Without the pictures that are also in train.
      confusion: Labels and predictions.
      roc: One-vs-rest ROC curves of the levels 1 to N.
      leaf_auc: The ROC AUC of each class, [C]; None for one that does not occur.
      shots: Many-, medium- and few-shot classes.
      temperatures: Fitted temperatures.
      coverage_curve: Accuracy by coverage.
      coverage: At several target accuracies, ascending.
      target: The target accuracy that the reports show first.
      intervals: 95 % confidence intervals of the headline metrics, by name.
      predictions: The likeliest classes of each product.
      label_errors: Suspected label errors, rows of `predictions`.
      showcase: Rows of `predictions` that the page shows.
      sample_images: Images of the shown products, by product id.
      undecodable: The undecodable pictures of the split, which were left out.
      not_evaluated: Ids of the products without a decodable picture, ascending.
      train_products: Products that the data set has for training.
      pseudo_labelled: Number of them whose label an earlier model predicted.
      keys: The key of each product whose id is not an integer, by the number of the key.
    """

    split: str
    step: int
    product_rule: str
    tta: str
    data_digest: str
    products: SubsetMetrics
    products_without_leaked: SubsetMetrics
    pictures: SubsetMetrics
    pictures_without_leaked: SubsetMetrics
    confusion: Confusion
    roc: tuple[LevelRoc, ...]
    leaf_auc: tuple[float | None, ...]
    shots: tuple[ShotMetrics, ...]
    temperatures: FittedTemperatures
    coverage_curve: CoverageCurve
    coverage: tuple[Coverage, ...]
    target: float
    intervals: dict[str, tuple[float, float]]
    predictions: Predictions
    label_errors: LabelErrors
    showcase: Showcase
    sample_images: SampleImages
    undecodable: tuple[Place, ...] = ()
    not_evaluated: tuple[int, ...] = ()
    train_products: int = 0
    pseudo_labelled: int = 0
    keys: Mapping[int, str] = field(default_factory=dict)

    def shown_id(self, product_id: int) -> int | str:
        """Returns the shop's id of a product."""
        return self.keys.get(int(product_id), int(product_id))

    @property
    def roc_auc(self) -> RocAuc:
        """The ROC AUC of the classes."""
        return self.roc[-1].auc

    @property
    def subsets(self) -> tuple[SubsetMetrics, SubsetMetrics, SubsetMetrics, SubsetMetrics]:
        """The four subsets, in the order in which tables show them."""
        return (
            self.products,
            self.products_without_leaked,
            self.pictures,
            self.pictures_without_leaked,
        )

    @property
    def coverage_at_target(self) -> Coverage:
        """The coverage at the target accuracy."""
        return next(found for found in self.coverage if found.target == self.target)
