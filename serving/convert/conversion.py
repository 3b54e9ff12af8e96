"""Writes a converted model atomically as a version folder."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from catalog import atomic_folder, pixels
from catalog.digests import folder as digests
from catalog.model_folders.version_folder import MODEL_CARD
from serving.convert import agreement, networks, surroundings
from serving.convert.agreement import Agreement
from serving.convert.options import Conversion, check_folders
from serving.convert.source import Source, open_source
from serving.runtimes.converted_model import ConvertedModel
from serving.runtimes.saved_model import SavedModel
from serving.shard_pictures import labelled

Report = Callable[[str], None]


def convert(conversion: Conversion, *, report: Report) -> Agreement | None:
    """Converts a model. `report` receives a line for each step.

    Raises:
      UserError: If the model or the data set cannot be used, or an int8 network disagrees with the
        model on more than 2 % of the validation pictures.
    """
    check_folders(conversion)
    with atomic_folder.create(conversion.output) as partial:
        source = open_source(conversion.model)
        calibration = _calibration(conversion, source)
        calibrated = f', calibrated on {len(calibration):,} pictures' if calibration else ''
        report(f'converting to {conversion.runtime} {conversion.precision}{calibrated}')
        networks.write_network(
            source,
            partial,
            runtime=conversion.runtime,
            precision=conversion.precision,
            calibration=calibration,
        )
        surroundings.write(
            source, partial, runtime=conversion.runtime, precision=conversion.precision
        )
        found = _compare(conversion, str(partial), report=report)
        _write_card(conversion, source, partial, found=found, calibrated=len(calibration))
        digests.write(str(partial))
    return found


def _calibration(conversion: Conversion, source: Source) -> Sequence[networks.Images]:
    if conversion.precision != 'int8' or conversion.data is None:
        return []
    pictures = labelled.read(conversion.data, 'train', limit=conversion.calibration_pictures)
    return [
        np.asarray(pixels.fit(pixels.decode(one.encoded), height=source.height, width=source.width))
        for one in pictures
    ]


def _compare(conversion: Conversion, folder: str, *, report: Report) -> Agreement | None:
    if conversion.data is None:
        return None
    pictures = labelled.read(conversion.data, 'validation', limit=conversion.validation_pictures)
    report(f'comparing the answers on {len(pictures):,} validation pictures')
    source, converted = SavedModel(conversion.model), ConvertedModel(folder)
    try:
        found = agreement.measure(source, converted, pictures)
    finally:
        source.close()
        converted.close()
    if conversion.precision == 'int8':
        agreement.check_int8(found, output=conversion.output)
    return found


def _write_card(
    conversion: Conversion,
    source: Source,
    partial: Path,
    *,
    found: Agreement | None,
    calibrated: int,
) -> None:
    converted: dict[str, Any] = {
        'from_version': source.card['version'],
        'runtime': conversion.runtime,
        'precision': conversion.precision,
        'calibration_pictures': calibrated,
        'agreement': None if found is None else dataclasses.asdict(found),
    }
    card = {**source.card, 'conversion': converted}
    text = json.dumps(card, indent=2, ensure_ascii=False) + '\n'
    (partial / MODEL_CARD).write_text(text, encoding='utf-8')
