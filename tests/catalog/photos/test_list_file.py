"""Lists are read within a limit of memory, however small their files are."""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pytest
from pyarrow import parquet

from catalog.errors import UserError
from catalog.photos import list_file
from catalog.photos.confined import Rules

CODE = """
import resource, sys
from catalog.errors import UserError
from catalog.photos import list_file
from catalog.photos.confined import Rules
import pyarrow.compute, pyarrow.csv, pyarrow.parquet
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    list_file.read(sys.argv[1], Rules(max_list_mb=100))
except UserError as error:
    print(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def read_in_a_child(path: Path) -> tuple[str, int]:
    """Reads a list in a process of its own. Returns the error and the memory in MB."""
    done = subprocess.run(
        [sys.executable, '-c', CODE, str(path)], capture_output=True, text=True, check=True
    )
    *error, kilobytes = done.stdout.splitlines()
    return '\n'.join(error), int(kilobytes) // 1000


def repeated(text: str, rows: int) -> pa.Array:
    indices = pa.array([0], pa.int32()).take(pa.array([0] * rows))
    return pa.DictionaryArray.from_arrays(indices, pa.array([text]))


@pytest.mark.parametrize(('length', 'rows'), [(20_000, 500_000), (10, 3_000_000)])
def test_a_parquet_file_of_kilobytes_does_not_unpack_to_gigabytes(
    length: int, rows: int, tmp_path: Path
) -> None:
    path = tmp_path / 'list.parquet'
    parquet.write_table(pa.table({'path': repeated('x' * length, rows)}), path)
    assert path.stat().st_size < 500_000
    error, megabytes = read_in_a_child(path)
    assert error.startswith(f'{path}: a list must take at most 100 MB of memory, got at least ')
    assert error.endswith('--max_list_mb raises this')
    assert megabytes < 400


def test_a_parquet_file_declares_its_size(tmp_path: Path) -> None:
    path = tmp_path / 'list.parquet'
    table = pa.table({'path': ['x' * 1_000_000 + str(n) for n in range(300)]})
    parquet.write_table(table, path, compression='zstd', use_dictionary=False)
    assert path.stat().st_size < 500_000
    error, megabytes = read_in_a_child(path)
    assert 'at most 100 MB of memory, got at least 300 MB' in error
    assert megabytes < 100


def test_a_csv_file_of_one_line_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / 'list.csv'
    with path.open('wb') as file:
        file.write(b'path,category\n')
        file.truncate(90_000_000)  # sparse zeros, without a line break
    error, megabytes = read_in_a_child(path)
    assert error == (
        f'{path}: must be a list of photos, got: a line of more than 1048576 bytes; is a quote not '
        'closed?'
    )
    assert megabytes < 80  # of 90: how far ahead a thread reads depends on the load
    with path.open('wb') as file:
        file.truncate(50 << 30)
    error, _ = read_in_a_child(path)
    assert 'got at least 53,687 MB; --max_list_mb raises this' in error


def test_a_list_within_the_limit_is_read(tmp_path: Path) -> None:
    table = pa.table({'path': ['a.jpg', 'b.jpg'] * 3, 'category': [1, 2, 3] * 2, 'note': [''] * 6})
    parquet.write_table(table, tmp_path / 'list.parquet', row_group_size=2)
    pa.csv.write_csv(table, tmp_path / 'list.csv')
    for name in ('list.parquet', 'list.csv'):
        read = list_file.read(str(tmp_path / name), Rules()).table
        assert read.to_pydict() == table.drop_columns('note').to_pydict()
    with pytest.raises(UserError, match='--max_list_mb raises this'):
        list_file.read(str(tmp_path / 'list.csv'), Rules(max_list_mb=0.0006))


def test_an_empty_list_has_no_rows(tmp_path: Path) -> None:
    (tmp_path / 'list.csv').write_text('path,category\n')
    parquet.write_table(pa.table({'path': pa.array([], pa.string())}), tmp_path / 'list.parquet')
    for name in ('list.csv', 'list.parquet'):
        assert list_file.read(str(tmp_path / name), Rules()).table.num_rows == 0


def test_a_list_must_be_a_file(tmp_path: Path) -> None:
    (tmp_path / 'list.csv').mkdir()
    with pytest.raises(UserError, match=r'list\.csv: must be a file, got a folder'):
        list_file.read(str(tmp_path / 'list.csv'), Rules())


ROWS = 'path,category\n"photo 0, ""groß"" é.jpg",7\np1.jpg,8\n'


@pytest.mark.parametrize(
    'content',
    [
        ROWS.encode(),
        ROWS.encode('utf-8-sig'),
        ROWS.encode('utf-16'),
        '\ufeff'.encode('utf-16-be') + ROWS.encode('utf-16-be'),
        ROWS.encode('cp1252'),
        ROWS.replace('\n', '\r\n').encode(),
        ROWS.replace(',7', ';7').replace(',8', ';8').replace('path,', 'path;').encode(),
        ROWS.replace(',7', '\t7').replace(',8', '\t8').replace('path,', 'path\t').encode('utf-16'),
        b'sep=,\r\n' + ROWS.encode(),
        ROWS.replace('path,category', ' Path , Category ').encode(),
        ROWS.replace(',7', ', 7.0 ').encode(),
        ROWS.encode() + b',\n\n',
    ],
)
def test_lists_are_read_in_the_forms_of_spreadsheets(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / 'list.csv'
    path.write_bytes(content)
    read = list_file.read(str(path), Rules()).table
    assert read.to_pydict() == {
        'path': ['photo 0, "groß" é.jpg', 'p1.jpg'],
        'category': [7, 8],
    }


def test_other_encodings_are_refused(tmp_path: Path) -> None:
    (tmp_path / 'list.csv').write_bytes('path,category\n写真.jpg,7\n'.encode('gb18030') + b'\x81\n')
    with pytest.raises(UserError, match=r'list\.csv: must be UTF-8, UTF-16 .* "CSV UTF-8"'):
        list_file.read(str(tmp_path / 'list.csv'), Rules())


@pytest.mark.parametrize('header', ['image,label', 'File Name,categoryId', 'file_path,Class,Note'])
def test_columns_are_known_by_their_usual_names(header: str, tmp_path: Path) -> None:
    path = tmp_path / 'list.csv'
    path.write_text(f'{header}\np0.jpg,7{",x" * (header.count(",") - 1)}\n')
    assert list_file.read(str(path), Rules()).table.to_pydict() == {
        'path': ['p0.jpg'],
        'category': [7],
    }


def test_columns_are_given_by_name(tmp_path: Path) -> None:
    path = tmp_path / 'list.csv'
    path.write_text('path,image_url,cat.leaf,sku\nold,p0.jpg,A > B,X-1\n')
    names = {'path': 'image_url', 'category': 'cat.leaf', 'product': 'sku'}
    read = list_file.read(str(path), Rules(), names).table
    assert read.to_pydict() == {'path': ['p0.jpg'], 'category': ['A > B'], 'product': ['X-1']}
    with pytest.raises(UserError) as caught:
        list_file.read(str(path), Rules(), {'category': 'cat.leave'})
    assert str(caught.value) == (
        f"{path}: --fields names the column 'cat.leave' as category, but the columns are path, "
        'image_url, cat.leaf, sku; did you mean category=cat.leaf?'
    )


@pytest.mark.parametrize(
    ('cells', 'read'),
    [
        (['1', '22'], [1, 22]),
        (['1.0', ''], [1, None]),
        (['1', '022'], ['1', '022']),
        (['1', 'X-1'], ['1', 'X-1']),
        (['9' * 19, '1'], ['9' * 19, '1']),
    ],
)
def test_product_ids_are_integers_if_all_of_them_are(
    cells: list[str], read: list[object], tmp_path: Path
) -> None:
    path = tmp_path / 'list.csv'
    path.write_text('path,product\n' + ''.join(f'a.jpg,{cell}\n' for cell in cells))
    assert list_file.read(str(path), Rules()).table.to_pydict()['product'] == read


def test_parquet_columns_of_other_types_are_read(tmp_path: Path) -> None:
    path = tmp_path / 'list.parquet'
    columns = {
        'path': pa.array([['a.jpg', 'b.jpg'], ['c.jpg']]),
        'category': pa.array([7.0, None]),
        'product': pa.DictionaryArray.from_arrays([0, 1], ['X', 'Y']),
    }
    parquet.write_table(pa.table(columns), path)
    assert list_file.read(str(path), Rules()).table.to_pydict() == {
        'path': [['a.jpg', 'b.jpg'], ['c.jpg']],
        'category': [7, None],
        'product': ['X', 'Y'],
    }


@pytest.mark.parametrize(
    ('text', 'rows'),
    [
        ('path,category\na,1\nb,2\n', [2, 3]),
        ('path,category\n\na,1\n,\n  \nb,2\n', [3, 6]),
        ('\n\nsep=,\npath,category\na,1\n\nb,2\n', [5, 7]),
        ('path,category\n"a\nx",1\n\nb,2\n', [2, 4]),
        ('path\na\n\nb\n', [2, 4]),
    ],
)
def test_rows_have_the_numbers_of_a_spreadsheet(text: str, rows: list[int], tmp_path: Path) -> None:
    path = tmp_path / 'list.csv'
    path.write_bytes(text.replace('\n', '\r\n').encode('utf-8-sig'))
    found = list_file.read(str(path), Rules())
    assert found.rows.tolist() == rows
    assert [name[0] for name in found.table['path'].to_pylist()] == ['a', 'b']


def test_a_quote_that_is_not_closed_is_named_with_its_row(tmp_path: Path) -> None:
    path = tmp_path / 'list.csv'
    path.write_text('path,category\na.jpg,1\n\n"b.jpg,2\nc.jpg,3\n')
    with pytest.raises(UserError) as caught:
        list_file.read(str(path), Rules())
    assert str(caught.value) == (
        f"{path}, row 4: a quote must be closed, got '\"b.jpg,2\\nc.jpg,3'; add the other one, or "
        'remove it'
    )


def test_a_split_that_is_not_named_is_noted(tmp_path: Path) -> None:
    path = tmp_path / 'list.csv'
    path.write_text('path,category,Split\na.jpg,1,train\n')
    note = f'the column Split of {path} is not used; --fields=split=Split uses it'
    assert list_file.read(str(path), Rules()).notes == (note,)
    assert list_file.read(str(path), Rules(), {'split': 'Split'}).notes == ()


@pytest.mark.parametrize(
    ('name', 'data', 'error'),
    [
        ('list.csv', b'', 'must be a list of photos, got: an empty file'),
        ('list.csv', b'path,category', 'must be a list of photos, got: no rows'),
        ('list.csv', b'<!DOCTYPE html><p>sign in', 'got an HTML page; the download failed'),
        ('list.csv', b'{"path": "1.jpg"}\n', 'got JSON text'),
        ('list.csv', b'PAR1', 'got a Parquet file; a list of photos has a name that ends with'),
        ('list.csv', b'\x1f\x8b\x08\0', 'got a gzip file; unpack it first'),
        ('list.csv', 'path\n1.jpg\n'.encode('utf-16-le'), 'got another encoding; save it as'),
        ('list.csv', '\ufeffpath\n1.jpg\n'.encode('utf-32-le'), 'got another encoding'),
        (
            'list.parquet',
            b'path,category\n1.jpg,7\n',
            'must be Parquet, as its name says, got text',
        ),
        ('list.parquet', b'PAR1 and no end', 'got: a truncated Parquet file; get it again'),
    ],
)
def test_a_file_that_is_no_list_is_named(
    name: str, data: bytes, error: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(UserError) as raised:
        list_file.read(str(path), Rules())
    assert str(raised.value).startswith(f'{path}: ')
    assert error in str(raised.value)


def test_fields_may_be_separated_by_bars(tmp_path: Path) -> None:
    path = tmp_path / 'list.csv'
    path.write_text('path|category|note\n1.jpg|7|red, new\n')
    table = list_file.read(str(path), Rules()).table
    assert table.to_pylist() == [{'path': '1.jpg', 'category': 7}]
