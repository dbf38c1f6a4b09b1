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

"""How much of a thin pool a file will take."""

import errno
import os


def taken(path: str, chunk: int) -> int:
    """Return the bytes of all chunks in which a file has data.

    Whoever makes an image can scatter its data, so that it takes many times
    what the file does.

    :param chunk: bytes; with 0 the file counts without its holes
    :raises OSError: if the file cannot be read
    """
    file = os.open(path, os.O_RDONLY)
    try:
        status = os.fstat(file)
        if not chunk:
            return status.st_blocks * 512
        number = position = 0
        while position < status.st_size:
            try:
                start = os.lseek(file, position, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:  # a hole, to the end
                    break
                raise
            # The last chunk that is counted is not looked at any more.
            end = -(-os.lseek(file, start, os.SEEK_HOLE) // chunk)
            number += end - start // chunk
            position = end * chunk
        return number * chunk
    finally:
        os.close(file)
