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

"""What decides where servers go, in one run of the simulator."""

import dataclasses

STOCK, OURS, REFERENCE = KINDS = ('stock', 'ours', 'reference')

#: See :mod:`.real_nova.references` for their formulas.
BINARY, ONE_OVER_N, IMAGE_LOCALITY = REFERENCES = (
    'binary', 'one-over-n', 'image-locality')


@dataclasses.dataclass(frozen=True, slots=True)
class Policy:
    """What decides where servers go.

    :param name: for people; unique in a comparison
    :param kind: ``stock``: nova as it comes; ``ours``: with this package's
        filter and weigher; ``reference``: with the score of a peer. Only ours
        have that filter and that weigher, whatever the fragment says
    :param fragment: of nova.conf; what it sets holds for this run only
    :param reference: the peer's score, one of :data:`REFERENCES`
    :param multiplier: of the peer's score
    :param family: of policies that only differ in the multiplier; without it
        a policy is its own
    :param own: the fragment without what is common to all policies
    :param precache: whether hosts fetch images ahead of time
    """

    name: str
    kind: str
    fragment: str = ''
    reference: str = ''
    multiplier: float = 0.0
    family: str = ''
    own: str = ''
    precache: bool = False

    def __post_init__(self) -> None:
        """Refuse what is none.

        :raises ValueError: saying why
        """
        if not self.family:
            object.__setattr__(self, 'family', self.name)
        if self.kind not in KINDS:
            raise ValueError(f'policy {self.name!r} is of the unknown kind '
                             f'{self.kind!r}')
        if (self.kind == REFERENCE) != (self.reference in REFERENCES):
            raise ValueError(
                f'policy {self.name!r} has the unknown reference '
                f'{self.reference!r}: one of {", ".join(REFERENCES)} is '
                f'wanted')


def exact(value: float) -> str:
    """Return a number as one types it, with all digits that it has."""
    return f'{value:.15g}'


def stock(fragment: str = '') -> Policy:
    """Return nova as it comes."""
    return Policy(STOCK, STOCK, fragment)


def ours(name: str = OURS, fragment: str = '', family: str = '') -> Policy:
    """Return this package with the options that a nova.conf fragment sets.

    The filter and the weigher are added to those of nova, or to those that
    the fragment sets. A multiplier and a cap of 0 leave them without effect.
    """
    return Policy(name, OURS, fragment, family=family, own=fragment)


def reference(name: str, multiplier: float) -> Policy:
    """Return nova with the score of a peer, one of :data:`REFERENCES`."""
    return Policy(f'{name} x {exact(multiplier)}', REFERENCE, reference=name,
                  multiplier=multiplier, family=name)
