#    Licensed under the Apache License, Version 2.0 (the "License"); you may
#    not use this file except in compliance with the License. You may obtain
#    a copy of the License at
#
#         http://www.apache.org/licenses/LICENSE-2.0
#
#    Unless required by applicable law or agreed to in writing, software
#    distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
#    WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
#    License for the specific language governing permissions and limitations
#    under the License.


"""The lines of a trace file, gzipped or not."""

from collections.abc import Iterator
import contextlib
import csv
import gzip
import os
from typing import BinaryIO
from typing import cast
import zlib

#: The first bytes of every gzip file (RFC 1952, 2.3.1).
GZIP_MAGIC = b'\x1f\x8b'

#: Bytes of a line. A server is well below a kilobyte; what has longer lines
#: is no trace, and may be of any length.
MAX_LINE = 65536

#: Characters of a value that a message repeats.
_SHOWN = 40


class BadTrace(ValueError):
    """A trace cannot be used; the message says where and why.

    :ivar line: number of the line, from 1; None if it is about the file
    :ivar column: name of the column, or None
    """

    def __init__(self, reason: str, line: int | None = None,
                 column: str | None = None) -> None:
        self.line = line
        self.column = column
        where = ', '.join(
            [f'line {line}'] * (line is not None)
            + [f'column {column}'] * (column is not None))
        super().__init__(f'{where}: {reason}' if where else reason)


def shown(value: str) -> str:
    """Return a value as a message has it: quoted, and not too long."""
    return repr(value if len(value) <= _SHOWN else f'{value[:_SHOWN]}...')


@contextlib.contextmanager
def _opened(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file that may be gzipped, whatever its name says."""
    with open(path, 'rb') as file:
        if file.peek(2)[:2] != GZIP_MAGIC:
            yield file
            return
        with gzip.open(file) as unzipped:
            yield cast(BinaryIO, unzipped)


def _decoded(file: BinaryIO) -> Iterator[str]:
    number = 0
    while True:
        try:
            line = file.readline(MAX_LINE + 1)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise BadTrace(f'damaged gzip file: {error}', number + 1) from None
        if not line:
            return
        number += 1
        if len(line) > MAX_LINE:
            raise BadTrace(f'longer than {MAX_LINE} bytes', number)
        try:
            # A byte order mark is what spreadsheets write first.
            yield line.decode('utf-8-sig' if number == 1 else 'utf-8')
        except UnicodeDecodeError as error:
            raise BadTrace(f'not UTF-8: {error.reason}', number) from None


def rows(path: str | os.PathLike[str]) -> Iterator[tuple[int, list[str]]]:
    """Return the number of each line that is not empty, and its values.

    A record with a line end in quotes has the number of its first line.

    :raises BadTrace: for what is not a CSV file in UTF-8
    :raises OSError: if the file cannot be read
    """
    with _opened(path) as file:
        reader = csv.reader(_decoded(file), strict=True)
        first = 1
        try:
            for values in reader:
                if values:
                    yield first, values
                first = reader.line_num + 1
        except csv.Error as error:
            raise BadTrace(f'not CSV: {_reason(error)}', first) from None


def _reason(error: csv.Error) -> str:
    """Return what is wrong, in words for who wrote the file."""
    text = str(error)
    # No line is long enough for such a field, so it goes on over several.
    if text.startswith(('unexpected end of data', 'field larger')):
        return 'a quote that opens here is not closed'
    if text.startswith('new-line character'):
        return 'lines end with CR alone; LF or CR LF is wanted'
    return text
