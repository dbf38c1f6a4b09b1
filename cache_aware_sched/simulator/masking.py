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

#: The password in a URL.
_PASSWORD = re.compile(r'(://[^/:@\s]*):\S*@')

#: A line of nova.conf whose value is a secret, as its name tells.
_SECRET = re.compile(
    r'^(\s*\w*(?:password|secret|token|_key)\w*\s*[=:]\s*).+$',
    re.IGNORECASE | re.MULTILINE)

HIDDEN = '***'


def has_password(address: str) -> bool:
    """Return whether the address of a database has a password in it."""
    return bool(_PASSWORD.search(address)) or 'passw' in address.lower()


def masked(text: str) -> str:
    """Return a text without the passwords in its URLs."""
    return _PASSWORD.sub(rf'\1:{HIDDEN}@', text)


def masked_fragment(fragment: str) -> str:
    """Return a fragment of nova.conf without the secrets in it.

    It may be all of a cloud's nova.conf, which has the passwords of the
    database, the message queue and the service users.
    """
    return masked(_SECRET.sub(rf'\1{HIDDEN}', fragment))
