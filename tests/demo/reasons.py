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

"""Why a server of the demonstration is where it is, in a few words."""

from cache_aware_sched.scheduler import scoring


def why(host: str | None, scores: dict[str, scoring.Score] | None,
        full: int) -> str:
    """Say in a few words why a server is where it is.

    :param scores: of the hosts that weighed in; None if the weigher had
        nothing to say on the image
    :param full: how many hosts hold the image and are at the cap
    """
    if host is None:
        return 'no host was left'
    if scores is None:
        return 'image too small to matter'
    if host in scores:
        return 'its image is here'
    if not scores:
        return (f'all {full} that have it are full' if full
                else 'its image is nowhere')
    best = max(scores.values(), key=lambda score: score.weight)
    return f'{best.candidate.host} has it: {_what_speaks_against(best)}'


def _what_speaks_against(score: scoring.Score) -> str:
    if score.headroom < score.gate:
        return 'near cap'
    if score.gate < 1:
        return 'busier'
    return 'small gain'
