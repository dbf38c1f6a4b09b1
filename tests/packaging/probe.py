# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.
"""Load every plug-in of the package the way nova does.

check.py runs this with the Python of a virtual environment that holds nova
and the package. It imports nothing of the package itself.
"""

# First: this is where a nova service patches the standard library.
import nova.cmd

import contextlib
import importlib.util
import io
import pathlib
import sys
import types

from nova.api.validation.extra_specs import validators
from nova import conf
from nova.scheduler import filters
from nova.scheduler import weights
from nova.virt import driver
from nova.virt import fake
from oslo_config import generator
from oslo_utils import importutils

DRIVERS = ("cache_aware.LibvirtDriver", "cache_aware.FakeDriver")
CLUSTERS = "VMwareVCDriver"
WEIGHER = "cache_aware_sched.scheduler.weights.ImageCacheWeigher"
FILTER = "cache_aware_sched.scheduler.filters.ImageAntiAffinityFilter"
EXTRA_SPEC = "cache_aware_sched:max_same_image_instances_per_host"
NAMESPACE = GROUP = "cache_aware_sched"


def expect(condition: bool, what: str) -> None:
    """End the program unless the condition holds."""
    if not condition:
        raise SystemExit(f"probe: FAILED: {what}")
    print(f"probe: ok: {what}")


def pretend_libvirt() -> None:
    """Let nova's libvirt driver be constructed where libvirt is not.

    Its constructor imports libvirt-python, which pip cannot install without
    a compiler and the headers of libvirt, and uses nothing of it.
    """
    if importlib.util.find_spec("libvirt") is None:
        sys.modules["libvirt"] = types.ModuleType("libvirt")


def check_clusters() -> None:
    """Load the driver of clusters, or see what is lacking named.

    It is not constructed: nova's constructor asks a vCenter.
    """
    has_library = importlib.util.find_spec("oslo_vmware") is not None
    try:
        loaded = importutils.import_class(f"nova.virt.cache_aware.{CLUSTERS}")
    except ImportError as error:
        expect(
            not has_library and "oslo_vmware" in str(error),
            f"cache_aware.{CLUSTERS} without oslo.vmware: {error}",
        )
        return
    expect(
        has_library and issubclass(loaded, driver.ComputeDriver),
        f"compute_driver = cache_aware.{CLUSTERS}",
    )


def main() -> None:
    """Load the drivers, the weigher, the filter and the entry points."""
    nova_root = pathlib.Path(nova.cmd.__file__).parents[1]
    expect(
        nova_root.is_relative_to(sys.prefix), f"nova comes from {nova_root}"
    )
    conf.CONF([], project="nova", default_config_files=[])

    pretend_libvirt()
    for name in DRIVERS:
        loaded = driver.load_compute_driver(fake.FakeVirtAPI(), name)
        expect(
            isinstance(loaded, driver.ComputeDriver),
            f"compute_driver = {name}",
        )

    check_clusters()

    classes = weights.HostWeightHandler().get_matching_classes([WEIGHER])
    expect(
        [c.__name__ for c in classes] == ["ImageCacheWeigher"],
        f"weight_classes = {WEIGHER}",
    )
    classes = filters.HostFilterHandler().get_matching_classes([FILTER])
    expect(
        [c.__name__ for c in classes] == ["ImageAntiAffinityFilter"],
        f"available_filters = {FILTER}",
    )

    validators.load_validators()
    expect(EXTRA_SPEC in validators.VALIDATORS, f"extra spec {EXTRA_SPEC}")

    sample = io.StringIO()
    with contextlib.redirect_stdout(sample):
        generator.main(["--namespace", NAMESPACE])
    expect(f"[{GROUP}]" in sample.getvalue(), f"sample of the group {GROUP}")


if __name__ == "__main__":
    main()
