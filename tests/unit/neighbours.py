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

"""Other hosts to copy images from: directories, behind programs of ours.

``ssh`` runs the command here, with the paths of the other host. ``rsync`` is
the real one, and goes through that ssh; ``scp`` copies through it too. What a
host does wrong, a file in its directory says.
"""

import os
import pathlib

import fixtures

# ssh [-o OPTION]... [-l USER] ADDRESS COMMAND...
_SSH = r"""#!/bin/bash
while [ "${{1#-}}" != "$1" ]; do shift 2; done
host={root}/$1
shift
echo "$*" >>"$host/log"
case $(cat "$host/fault" 2>/dev/null) in
refuses) echo 'Permission denied (publickey).' >&2; exit 255 ;;
dead) exec sleep 600 ;;
chatty) echo 'Welcome, dear user' ;;
esac
[ -d "$host" ] || {{ echo 'No route to host' >&2; exit 255; }}
here={here}
command="$*"
command=${{command//"$here"/$host}}
case $command in
*rsync*|cat*)
    case $(cat "$host/fault" 2>/dev/null) in
    hangs) exec sleep 600 ;;
    breaks)
        rm -f "$host/pipe"; mkfifo "$host/pipe"
        exec 3<&0
        sh -c "exec $command" <&3 >"$host/pipe" &
        # Not head, which keeps what it reads for a while.
        dd bs=1 count=50000 status=none <"$host/pipe"
        kill -9 $!; exit 12 ;;
    leaves) kill $(cat "$host/place"); exec sleep 600 ;;
    shortens) truncate -s -1000 "$host"/_base/* ;;
    forgets) echo 'rsync: write failed: No space left on device (28)' >&2
        exit 11 ;;
    esac ;;
*) echo $$ >"$host/place" ;;
esac
exec sh -c "$command"
"""

# scp [-C] -r HOST:PATH PATH
_SCP = r"""#!/bin/bash
while [ "${{1#-}}" != "$1" ]; do shift; done
{ssh} "${{1%%:*}}" "cat ${{1#*:}}" >"$2"
"""


class Hosts(fixtures.Fixture):
    """Hosts that can be reached over ssh.

    :param here: the instances path, which is the same on all
    """

    def __init__(self, here):
        super().__init__()
        self._here = here

    def setUp(self):
        super().setUp()
        self.root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        programs = self.root / 'bin'
        programs.mkdir()
        ssh = programs / 'ssh'
        for path, text in (
                (ssh, _SSH.format(root=self.root, here=self._here)),
                (programs / 'scp', _SCP.format(ssh=ssh))):
            path.write_text(text)
            path.chmod(0o755)
        self.useFixture(fixtures.EnvironmentVariable(
            'PATH', f'{programs}:{os.environ["PATH"]}'))

    def add(self, address, name=None, data=None, fault=''):
        """Have a host, and a file in its cache.

        :param name: of the file
        """
        host = self.root / address
        for part in ('_base', 'locks'):
            (host / part).mkdir(parents=True, exist_ok=True)
        (host / 'fault').write_text(fault)
        if name is not None:
            (host / '_base' / name).write_bytes(data)
        return host

    def asked(self, address):
        """Return the commands that a host was given."""
        log = self.root / address / 'log'
        return log.read_text().splitlines() if log.exists() else []
