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

#: The password in a URL, and the value of an option after it, any of which may
#: be a secret.
_PASSWORD = re.compile(r'(://[^/:@\s]*):\S*@')
_QUERY = re.compile(r'(?<=\?)\S*')
_VALUE = re.compile(r'=[^&;\'"]*')

HIDDEN = '***'


def has_password(address: str) -> bool:
    """Return whether the address of a database has a password in it."""
    return bool(_PASSWORD.search(address)) or 'passw' in address.lower()


def masked(text: str) -> str:
    """Return a text without the secrets in its URLs."""
    return _QUERY.sub(lambda query: _VALUE.sub(f'={HIDDEN}', query[0]),
                      _PASSWORD.sub(rf'\1:{HIDDEN}@', text))
