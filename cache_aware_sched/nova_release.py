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

"""What differs between the releases of nova, all in one place.

The package runs with the nova that is installed, 31 (2025.1) to 34 (2026.2).
Which private names of nova the package uses, and where, is a table on the page
"Architecture" (``doc/source/contributor/architecture.rst``). Tests pin
them, as those of the class ``TestNova`` in ``tests/unit/test_libvirt.py``.
"""

from collections.abc import Callable
from typing import Any

from nova import version

try:
    from nova import thread_pool_factory as _threads
except ImportError:  # before 34.0.0 it is among the utilities, the same
    from nova import utils as _threads

#: Releases of nova that all tests of this package were run with.
TRIED = ('31', '32', '33', '34')


def is_tried() -> bool:
    """Return whether the package was tried with the nova that is here."""
    return installed().partition('.')[0] in TRIED


def installed() -> str:
    """Return the release of the nova that is here."""
    return str(version.version_string())


def spawn(function: Callable[..., Any], *args: Any) -> None:
    """Run a function in a thread of nova's own pool."""
    _threads.spawn(function, *args)
