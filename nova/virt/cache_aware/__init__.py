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

"""Where nova looks for the drivers: ``compute_driver = cache_aware.<name>``.

nova only loads drivers from below its own ``nova.virt``. Each is imported when
it is asked for, so that neither needs what the other one needs.
"""

import importlib
from typing import Any

_MODULES = {
    'FakeDriver': 'cache_aware_sched.virt.fake',
    'LibvirtDriver': 'cache_aware_sched.virt.libvirt',
    'VMwareVCDriver': 'cache_aware_sched.virt.vmware.driver',
}

__all__ = ['FakeDriver', 'LibvirtDriver', 'VMwareVCDriver']


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(importlib.import_module(_MODULES[name]), name)
