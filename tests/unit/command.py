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

"""Runs ``cache-aware-sched`` in this process."""

import contextlib
import io
import logging

from cache_aware_sched.cli import app


def execute(*argv):
    """Run the command; return its status and what it printed."""
    out, err = io.StringIO(), io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        with (contextlib.redirect_stdout(out),
              contextlib.redirect_stderr(err)):
            status = app.main(list(argv))
    except SystemExit as exit_:
        status = exit_.code or 0
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    return status, out.getvalue(), err.getvalue()
