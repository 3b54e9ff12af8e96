"""Builds the descriptors of protobuf messages that have no module of their own here."""

from google.protobuf import descriptor_pb2

Field = descriptor_pb2.FieldDescriptorProto


def field(
    number: int, name: str, kind: str, *, repeated: bool = False, oneof: bool = False
) -> Field:
    """Returns a field. `kind` is a scalar type, or a message's full name with a leading dot."""
    built = Field(name=name, number=number)
    built.label = Field.LABEL_REPEATED if repeated else Field.LABEL_OPTIONAL
    if kind.startswith('.'):
        built.type, built.type_name = Field.TYPE_MESSAGE, kind
    else:
        built.type = Field.Type.Value(f'TYPE_{kind.upper()}')
    if oneof:
        built.oneof_index = 0
    return built
