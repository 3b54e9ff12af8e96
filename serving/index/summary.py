"""What a run of the command prints."""

from collections.abc import Iterator

from catalog import storage
from serving.index.building import Built


def lines(built: Built, *, output: str) -> Iterator[str]:
    """Yields the lines."""
    info = built.info
    folder = storage.join(output, str(built.version))
    if not built.is_new:
        yield f'{"unchanged":<10} {folder} has these {info.products:,} products and this model'
        return
    if built.rebuilt:
        yield f'{"rebuilt":<10} no embedding was kept: {built.rebuilt}'
    elif built.version > 1:
        yield f'{"kept":<10} {built.kept:,} products of version {built.version - 1}'
    yield f'{"added":<10} {built.added:,} products with {built.pictures:,} pictures'
    if built.changed or built.removed:
        yield (
            f'{"replaced":<10} {built.changed:,} products with other pictures, removed '
            f'{built.removed:,}: the graph was built again'
        )
    if built.undecodable:
        yield (
            f'{"warning":<10} {built.undecodable:,} undecodable pictures; '
            f'{info.left_out:,} products without another one are not in the index'
        )
    size = (
        sum(storage.size(storage.join(folder, name)) for name in storage.list_files(folder)) / 1e6
    )
    yield (
        f'{"wrote":<10} {folder}: {info.products:,} products, {info.dimensions} numbers each, '
        f'{size:,.1f} MB'
    )
