"""Describes the flags of the shard job as the parameters of a flex template of Dataflow.

  python -m beam_pipelines.template > docker/shard_template.json

The service checks the parameters of a launch by this file, and the console asks for them.
"""

import json
from collections.abc import Iterator
from typing import Any

from absl import flags
from google.cloud import dataflow
from google.protobuf import json_format

from beam_pipelines import shard
from catalog import command_line
from catalog.source_flags import definitions

_NAME = 'Product photos to shards'
_DESCRIPTION = 'Turns a dump of products into class-balanced TFRecord shards with a manifest.'

_BUCKET = 'gs://.+'
_INTEGER = '[+-]?[0-9]+'
_NUMBER = r'[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(e[+-]?[0-9]+)?'

# What the console offers for a path.
_PATH_TYPES = {
    'categories': dataflow.ParameterType.GCS_READ_FILE,
    'output': dataflow.ParameterType.GCS_WRITE_FOLDER,
}


def metadata() -> dict[str, Any]:
    """Returns the metadata of the template, as JSON has it (TemplateMetadata of v1beta3)."""
    described = dataflow.TemplateMetadata(
        name=_NAME, description=_DESCRIPTION, parameters=list(_parameters())
    )
    return dict(json_format.MessageToDict(dataflow.TemplateMetadata.pb(described)))


def _parameters() -> Iterator[dataflow.ParameterMetadata]:
    """Yields the parameters, required ones first."""
    by_module = flags.FLAGS.flags_by_module_dict()
    own = [*by_module[shard.__name__], *by_module[definitions.__name__]]
    for flag in sorted(own, key=_is_optional):
        yield dataflow.ParameterMetadata(
            name=flag.name,
            label=flag.name.replace('_', ' ').capitalize(),
            help_text=flag.help,
            is_optional=_is_optional(flag),
            regexes=_rules(flag),
            param_type=_PATH_TYPES.get(flag.name, dataflow.ParameterType.TEXT),
        )


def _is_optional(flag: flags.Flag) -> bool:
    return not any('other than None' in validator.message for validator in flag.validators)


def _rules(flag: flags.Flag) -> list[str]:
    """Returns the regular expression that a value must match, if the type of the flag has one."""
    match flag.parser:
        case flags.BooleanParser():
            return ['true|false']
        case flags.EnumParser(enum_values=values):
            return ['|'.join(values)]
        case flags.IntegerParser():
            return [_INTEGER]
        case flags.FloatParser():
            return [_NUMBER]
        case command_line.PathParser():
            return [_BUCKET]
        case _:
            return []


def as_text() -> str:
    """Returns the text of the file."""
    return json.dumps(metadata(), indent=2, ensure_ascii=False) + '\n'


if __name__ == '__main__':
    print(as_text(), end='')
