"""The result of an evaluation: every value that its reports show."""

from dataclasses import dataclass

from trainer.evaluate.showcase import SampleImages, Showcase
from trainer.metrics.breakdowns import Third
from trainer.metrics.calibration import FittedTemperatures
from trainer.metrics.classification import Confusion
from trainer.metrics.coverage import Coverage, Curve
from trainer.metrics.label_errors import LabelErrors
from trainer.metrics.prediction_table import Predictions
from trainer.metrics.roc_auc import RocAuc
from trainer.metrics.subset_metrics import SubsetMetrics


@dataclass(frozen=True)
class Evaluation:
    """What was found of a model on a split.

    Attributes:
      split: what was measured on.
      step: of the checkpoint that was measured.
      product_rule: what a product's probabilities are, in words.
      tta: see `test_time`.
      data_digest: SHA-256 of the data set's manifest, in hex.
      products: per product.
      products_without_leaked: without the products that have a picture which occurs in train too.
      pictures: per picture.
      pictures_without_leaked: without the pictures that occur in train too.
      confusion: per product, as all that follows.
      auc: one-vs-rest.
      thirds: of the classes, by size.
      calibrated: the temperatures.
      curve: coverage against accuracy.
      coverage: at some accuracies, ascending.
      target: the accuracy that matters most of these.
      intervals: 95 %, of the headline figures, by name.
      rows: what is said of each product.
      suspects: among the rows.
      showcase: rows to show.
      sample_images: their images, by product id.
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
    auc: RocAuc
    thirds: tuple[Third, ...]
    calibrated: FittedTemperatures
    curve: Curve
    coverage: tuple[Coverage, ...]
    target: float
    intervals: dict[str, tuple[float, float]]
    rows: Predictions
    suspects: LabelErrors
    showcase: Showcase
    sample_images: SampleImages

    @property
    def columns(self) -> tuple[SubsetMetrics, SubsetMetrics, SubsetMetrics, SubsetMetrics]:
        """The four sets of figures, in the order in which they are shown."""
        return (
            self.products,
            self.products_without_leaked,
            self.pictures,
            self.pictures_without_leaked,
        )

    @property
    def at_target(self) -> Coverage:
        """What can be filed at the target's accuracy."""
        return next(found for found in self.coverage if found.target == self.target)
