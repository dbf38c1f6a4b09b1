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

"""Whether KVM is of use here.

That /dev/kvm is there says little: on a machine that is virtual itself it can
fail, or be so slow that QEMU does better without. So guests are started.
"""

import pathlib
import subprocess
import tempfile
import time

from tests.cloud import disk
from tests.cloud import interrupts

#: Seconds for a guest that has nothing to do but to say a word twice.
PATIENCE = 30.0

#: How much longer it may take with KVM. It takes less where KVM is the
#: processor's, and three times as long where that is emulated.
TOLERANCE = 1.5

_WORD = 'this works'


def kind() -> str:
    """Return the ``virt_type`` of nova that is better here: kvm or qemu."""
    if not pathlib.Path('/dev/kvm').exists():
        return 'qemu'
    limit = TOLERANCE * seconds('tcg', PATIENCE)
    return 'kvm' if seconds('kvm', limit) < limit else 'qemu'


def seconds(accelerator: str, limit: float) -> float:
    """Return how long a guest takes to say its word twice.

    :returns: the limit if it takes longer, or fails
    """
    with tempfile.TemporaryDirectory(prefix='cloud-') as name:
        raw = pathlib.Path(name, 'disk')
        console = pathlib.Path(name, 'console')
        disk.write(raw, _WORD)
        start = time.monotonic()
        guest = subprocess.Popen(
            ['qemu-system-x86_64', '-accel', accelerator, '-m', '64',
             '-display', 'none', '-nodefaults', '-no-user-config',
             '-serial', f'file:{console}',
             '-drive', f'file={raw},format=raw,if=virtio'],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        try:
            while guest.poll() is None:
                taken = time.monotonic() - start
                if taken > limit:
                    break
                # Twice: in between it sleeps until a clock wakes it.
                if console.exists() and console.read_bytes().count(
                        _WORD.encode()) > 1:
                    return taken
                interrupts.pause(0.05)
            return limit
        finally:
            guest.kill()
            guest.wait()
