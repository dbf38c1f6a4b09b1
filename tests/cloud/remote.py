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

"""ssh and scp from one host of the cloud to another, without a daemon.

nova's libvirt driver copies the disks of a server that moves with them.
"""

from collections.abc import Mapping
import pathlib

_SSH = """#!/bin/sh
# ssh [-o OPTION]... ADDRESS COMMAND...
while [ "$1" = -o ]; do shift 2; done
read -r pid rest <"{addresses}/$1" || exit 255
shift
exec nsenter --target="$pid" --mount --uts -- /bin/sh -c "$*"
"""

_SCP = """#!/bin/sh
# scp [-OPTION]... SOURCE TARGET, of which one is ADDRESS:PATH
while [ "${{1#-}}" != "$1" ]; do shift; done
case $1 in
*:*) exec {ssh} "${{1%%:*}}" cat "${{1#*:}}" >"$2" ;;
*) exec {ssh} "${{2%%:*}}" cp --sparse=always /dev/stdin "${{2#*:}}" <"$1" ;;
esac
"""


def install(directory: pathlib.Path,
            hosts: Mapping[str, pathlib.Path]) -> None:
    """Make the programs.

    :param directory: for them; it has to come first on the PATH
    :param hosts: by the address of each host, the file that starts with the
        id of the process that it is
    """
    addresses = directory / 'addresses'
    addresses.mkdir(parents=True, exist_ok=True)
    for address, record in hosts.items():
        link = addresses / address
        link.unlink(missing_ok=True)
        link.symlink_to(record)
    ssh = directory / 'ssh'
    for path, text in (
            (ssh, _SSH.format(addresses=addresses)),
            (directory / 'scp', _SCP.format(ssh=ssh))):
        path.write_text(text)
        path.chmod(0o755)
