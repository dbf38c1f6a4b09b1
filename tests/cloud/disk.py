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

"""A disk to boot from, of any size.

Its boot sector reads the second sector and prints what is in it on the serial
console, about once a second for ever. So a console that gets longer shows a
guest that runs and whose disk is there, and tells which image it is of.
"""

import pathlib
import subprocess

SECTOR = 512
MIB = 2 ** 20

#: What the guest prints if it cannot read its disk.
FAILED = b'cannot read the disk\r\n\0'

#: Where a BIOS puts the boot sector, and where the second sector goes.
_LOADED, _TEXT = 0x7c00, 0x7e00

_CODE = bytes.fromhex(
    '31c0'      # xor ax, ax
    '8ed8'      # mov ds, ax
    '8ec0'      # mov es, ax
    '8ed0'      # mov ss, ax
    'bc007c'    # mov sp, 0x7c00
    'fb'        # sti
    'fc'        # cld
    # again:
    '52'        # push dx            the drive
    'b80102'    # mov ax, 0x0201     read one sector
    'b90200'    # mov cx, 2          the second one
    'b600'      # mov dh, 0
    'bb007e'    # mov bx, 0x7e00
    'cd13'      # int 0x13
    'be007e'    # mov si, 0x7e00
    '7303'      # jnc print
    'be0000'    # mov si, FAILED     filled in below
    # print:
    'ac'        # lodsb
    '84c0'      # test al, al
    '7412'      # jz wait
    '88c4'      # mov ah, al
    'bafd03'    # mov dx, 0x3fd      the state of the serial port
    # busy:
    'ec'        # in al, dx
    'a820'      # test al, 0x20
    '74fb'      # jz busy
    'baf803'    # mov dx, 0x3f8
    '88e0'      # mov al, ah
    'ee'        # out dx, al
    'ebe9'      # jmp print
    # wait:
    'b91200'    # mov cx, 18         ticks of the clock in a second
    # tick:
    'f4'        # hlt
    'e2fd'      # loop tick
    '5a'        # pop dx
    'ebca'      # jmp again
)


def sectors(text: str) -> bytes:
    """Return the first two sectors of a disk.

    :param text: what its guest prints, with a zero behind it in one sector
    :raises ValueError: if it is too long, or not ASCII
    """
    if len(text) >= SECTOR:
        raise ValueError(f'{len(text)} characters, {SECTOR - 1} are possible')
    where = _CODE.index(b'\xbe\0\0') + 1
    address = _LOADED + len(_CODE)
    code = _CODE[:where] + address.to_bytes(2, 'little') + _CODE[where + 2:]
    boot = bytearray(SECTOR)
    boot[:len(code) + len(FAILED)] = code + FAILED
    # nova takes a boot sector without a partition for a damaged image.
    boot[446:462] = bytes([0x80, 0, 2, 0, 0x83, 0, 0x3f, 0,
                           1, 0, 0, 0, 0xff, 7, 0, 0])
    boot[510:] = b'\x55\xaa'
    return bytes(boot) + text.encode('ascii').ljust(SECTOR, b'\0')


def write(path: pathlib.Path, text: str, size: int = MIB) -> None:
    """Make a raw disk.

    :param size: bytes, of which nearly none take room
    """
    with path.open('wb') as disk:
        disk.write(sectors(f'{text}\r\n'))
        disk.truncate(max(size, MIB))


def to_qcow2(raw: pathlib.Path, path: pathlib.Path) -> None:
    """Make a qcow2 disk of a raw one."""
    subprocess.run(['qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2',
                    str(raw), str(path)], check=True)
