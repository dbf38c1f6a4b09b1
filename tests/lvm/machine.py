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

"""The virtual machine: its kernel, its first process, and its end."""

import contextlib
import dataclasses
import gzip
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]

#: What is installed, if it is not there, and what is only unpacked.
PACKAGES = ('lvm2', 'qemu-system-x86', 'qemu-utils')
UNPACKED = ('busybox-static', 'thin-provisioning-tools')

#: Of Debian 12's qemu-system-common.
VIRTIOFSD = '/usr/lib/qemu/virtiofsd'

#: In the order in which they can be loaded; of Debian 12's kernel 6.1.
MODULES = (
    'fs/fuse/fuse', 'drivers/virtio/virtio_ring', 'drivers/virtio/virtio',
    'fs/fuse/virtiofs', 'drivers/virtio/virtio_pci_modern_dev',
    'drivers/virtio/virtio_pci_legacy_dev', 'drivers/virtio/virtio_pci',
    'drivers/block/virtio_blk', 'drivers/md/dm-mod', 'lib/libcrc32c',
    'drivers/md/dm-bufio', 'drivers/md/dm-bio-prison',
    'drivers/md/persistent-data/dm-persistent-data',
    'drivers/md/dm-thin-pool', 'drivers/md/dm-snapshot',
    'fs/overlayfs/overlay')

#: Seconds for the guest, booted and ended. It takes two minutes without KVM,
#: and many times that on a machine that has much else to do: beside a cloud
#: it is the last to get a processor.
GUEST_SECONDS = 1800

#: Directories that are new in the guest.
OWN_OF_GUEST = ('/tmp', '/run')

#: Bytes of the disk with the volume group, and of that for the results.
DISK_BYTES, RESULT_BYTES = 3 * 2 ** 30, 2 ** 22

#: Mounts what this machine has, with a layer above it that takes the writes,
#: and runs the tests there.
_INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /bin /sbin
/bin/busybox --install -s /bin
mount -t proc p /proc; mount -t sysfs s /sys; mount -t devtmpfs d /dev
for m in /mods/*; do insmod $m || echo "cannot load $m"; done
mount -t virtiofs -o ro root /newroot
mount -t tmpfs t /tmp
mkdir /tmp/up /tmp/wk /tmp/m
mount -t overlay -o lowerdir=/newroot,upperdir=/tmp/up,workdir=/tmp/wk o /tmp/m
mount -t proc p /tmp/m/proc; mount -t sysfs s /tmp/m/sys
mount -t devtmpfs d /tmp/m/dev; mount -t tmpfs r /tmp/m/run
mount -t tmpfs r /tmp/m/tmp
cat > /tmp/m/tmp/guest.sh <<'X'
hostname guest
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:@TOOLS@/usr/sbin
export DM_DISABLE_UDEV=1 LVM_SUPPRESS_FD_WARNINGS=1 HOME=/tmp
cd @CHECKOUT@ && exec @PYTHON@ -B -W ignore -m tests.lvm.guest @WORDS@
X
chroot /tmp/m /bin/sh /tmp/guest.sh
echo "guest ends with $?"
poweroff -f
"""


class Failed(Exception):
    """The machine cannot be made; the message says why."""


@dataclasses.dataclass(frozen=True, slots=True)
class Machine:
    """What a guest is made of.

    :param state: a directory for all of it
    """

    state: pathlib.Path

    @property
    def tools(self) -> pathlib.Path:
        return self.state / 'tools'

    def prepare(self, words: tuple[str, ...]) -> None:
        """Have kernel, tools and first process.

        :param words: for the tests in the guest
        :raises Failed: if they cannot be had
        """
        for path in OWN_OF_GUEST:
            if CHECKOUT.is_relative_to(path):
                raise Failed(f'The guest has a {path} of its own, and does '
                             f'not see {CHECKOUT}: use a checkout elsewhere.')
        self.state.mkdir(parents=True, exist_ok=True)
        missing = [name for name in PACKAGES if not _installed(name)]
        if missing:
            _apt('update', '-qq')
            _apt('install', '-qq', '--yes', '--no-install-recommends',
                 *missing)
        if not (self.tools / 'bin/busybox').exists():
            _apt('update', '-qq')
            self._unpack()
        self._pack(words)
        for name, size in (('disk', DISK_BYTES), ('results', RESULT_BYTES)):
            with open(self.state / name, 'wb') as file:
                file.truncate(size)

    def _unpack(self) -> None:
        meta = subprocess.run(
            ['apt-cache', 'depends', 'linux-image-cloud-amd64'],
            capture_output=True, text=True, check=True).stdout.split()
        kernel = next(word for word in meta if word.startswith(
            'linux-image-') and word != meta[0])
        wanted = [kernel, *UNPACKED]
        _apt('download', '-qq', *wanted, where=self.state)
        for package in self.state.glob('*.deb'):
            subprocess.run(['dpkg-deb', '-x', package, self.tools],
                           check=True)
            package.unlink()

    def _pack(self, words: tuple[str, ...]) -> None:
        """Write the initial file system, in cpio's format "newc"."""
        [modules] = (self.tools / 'lib/modules').iterdir()
        files = {'bin/busybox': (self.tools / 'bin/busybox').read_bytes()}
        for number, name in enumerate(MODULES):
            path = modules / f'kernel/{name}.ko'
            if not path.exists():
                raise Failed(f'{modules.name} has no module {name}: '
                             f'tests/lvm/machine.py lists those of 6.1')
            files[f'mods/{number:02}'] = path.read_bytes()
        init = _INIT
        for name, value in (('TOOLS', str(self.tools)),
                            ('CHECKOUT', str(CHECKOUT)),
                            ('PYTHON', sys.executable),
                            ('WORDS', shlex.join(words))):
            init = init.replace(f'@{name}@', value)
        files['init'] = init.encode()
        folders = ('bin', 'mods', 'proc', 'sys', 'dev', 'tmp', 'newroot')
        archive = b''.join(
            [_member(name, b'', 0o40755) for name in folders]
            + [_member(name, content, 0o100755)
               for name, content in files.items()]
            + [_member('TRAILER!!!', b'', 0)])
        with gzip.open(self.state / 'initrd', 'wb', compresslevel=1) as file:
            file.write(archive)

    def run(self) -> bytes:
        """Run the guest to its end.

        :returns: what it has written to the disk for results
        :raises Failed: if it does not end
        """
        socket = self.state / 'files.socket'
        with open(self.state / 'files.log', 'wb') as log:
            server = subprocess.Popen(
                [VIRTIOFSD, f'--socket-path={socket}', '-o', 'source=/',
                 '-o', 'cache=always', '-o', 'sandbox=chroot'],
                stdout=log, stderr=log)
        try:
            for _ in range(100):
                if socket.exists():
                    break
                time.sleep(0.1)
            self._boot(socket)
        finally:
            server.terminate()
            server.wait()
            with contextlib.suppress(FileNotFoundError):
                socket.unlink()
        return (self.state / 'results').read_bytes().rstrip(b'\0')

    def _boot(self, socket: pathlib.Path) -> None:
        [kernel] = (self.tools / 'boot').glob('vmlinuz-*')
        command = [
            'qemu-system-x86_64', '-accel', 'tcg', '-cpu', 'Nehalem',
            '-smp', '2', '-m', '1536', '-nodefaults', '-no-reboot',
            '-nographic',
            '-serial', 'stdio', '-kernel', str(kernel),
            '-initrd', str(self.state / 'initrd'), '-append',
            'console=ttyS0 loglevel=4 panic=-1', '-object',
            'memory-backend-memfd,id=mem,size=1536M,share=on',
            '-numa', 'node,memdev=mem',
            '-chardev', f'socket,id=files,path={socket}', '-device',
            'vhost-user-fs-pci,chardev=files,tag=root']
        for name in ('disk', 'results'):
            command += ['-drive', f'file={self.state / name},if=virtio,'
                        'format=raw,cache=unsafe']
        with open(self.state / 'console', 'wb') as console:
            guest = subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                     stdout=console, stderr=console)
        try:
            guest.wait(GUEST_SECONDS)
        except subprocess.TimeoutExpired:
            raise Failed(f'the guest did not end within {GUEST_SECONDS} s: '
                         f'{self.last_words()}') from None
        finally:
            if guest.poll() is None:
                guest.send_signal(signal.SIGKILL)
                guest.wait()

    def last_words(self) -> str:
        """Return the end of what the guest said."""
        text = (self.state / 'console').read_bytes().decode(errors='replace')
        return '\n'.join(text.splitlines()[-40:])


def _member(name: str, content: bytes, mode: int) -> bytes:
    """Return a file as cpio has it (cpio(5), "newc")."""
    fields = (0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0,
              len(name) + 1, 0)
    head = b'070701' + b''.join(b'%08x' % field for field in fields)
    head += name.encode() + b'\0'
    return (head + b'\0' * (-len(head) % 4)
            + content + b'\0' * (-len(content) % 4))


def _installed(package: str) -> bool:
    return 'ok installed' in subprocess.run(
        ['dpkg-query', '--show', '--showformat=${Status}', package],
        capture_output=True, text=True, check=False).stdout


def _apt(*words: str, where: pathlib.Path = CHECKOUT) -> None:
    program = 'apt-get'
    done = subprocess.run(
        [program, *words], cwd=where, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False,
        env={**os.environ, 'DEBIAN_FRONTEND': 'noninteractive'})
    if done.returncode:
        raise Failed(f'{program} {" ".join(words)}: {done.stderr.strip()}')
