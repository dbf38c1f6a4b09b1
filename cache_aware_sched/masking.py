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

"""What must not be read in a report, a message or a log."""

import re

#: From the password of a URL to the last @ of the line, for there may be
#: anything in a password; and all that is behind the ? of a URL.
_PASSWORD = re.compile(r'(://[^/:@\s]*)[:@][^\n]*@')
_QUERY = re.compile(r'(://[^\n]*?\?)[^\n]*')

#: Names of what a database driver may take as a secret, in a URL's query.
_SECRET = re.compile('pass|pwd|secret|token|key', re.IGNORECASE)

HIDDEN = '***'


def has_password(address: str) -> bool:
    """Return whether the address of a database has a password in it."""
    return bool(_PASSWORD.search(address)
                or _SECRET.search(address.partition('?')[2]))


def masked(text: str) -> str:
    """Return a text without the secrets in its URLs."""
    return _QUERY.sub(rf'\1{HIDDEN}', _PASSWORD.sub(rf'\1:{HIDDEN}@', text))
