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

"""Image-volume cache weigher. Weigh pools by whether they hold the image.

A positive multiplier prefers pools that have a cached volume of the requested
image, a negative one those that have none, 0 disables the weigher. The weight
is absolute, see :mod:`cache_aware_sched.cinder.scoring`.
"""

from collections.abc import Sequence
import dataclasses
from typing import Any

from cinder.db import api as db
from cinder.scheduler import weights
from oslo_config import cfg
from oslo_log import log as logging

from cache_aware_sched.cinder import conf
from cache_aware_sched.cinder import pools as pools_mod
from cache_aware_sched.cinder import recent
from cache_aware_sched.cinder import scoring
from cache_aware_sched.cinder import volume_request
from cache_aware_sched import once

LOG = logging.getLogger(__name__)
CONF = cfg.CONF
conf.register_opts(CONF)

#: Characters of an error in the log: SQLAlchemy adds whole statements.
MAX_ERROR = 300

#: Whatever fails is said once, until something works.
_FAILED = ('failed',)


@dataclasses.dataclass(frozen=True, slots=True)
class _Scored:
    """The candidates of a request, and why they weigh what they weigh."""

    pools: Sequence[pools_mod.Pool]
    scores: Sequence[scoring.PoolScore]


class ImageVolumeCacheWeigher(weights.BaseHostWeigher):
    """Prefer pools that hold the image, as long as they are not too full.

    Cinder makes one for each request.
    """

    minval = 0.0
    maxval = 1.0

    def __init__(self) -> None:
        self._multiplier = 0.0
        self._recent = recent.shared()

    def weight_multiplier(self) -> float:
        """Return the option; Cinder asks for each pool after weighing."""
        return self._multiplier

    def weigh_objects(self, weighed_obj_list: Sequence[Any],
                      weight_properties: dict[str, Any]) -> list[float]:
        """Return the weights of all pools; see cinder.scheduler."""
        try:
            result = self._weigh(weighed_obj_list, weight_properties)
        except Exception as error:
            # A preference is not worth a scheduler that places nothing.
            once.error(
                LOG, _FAILED,
                'No image-volume cache is considered until this is mended, '
                'which is said once: %(type)s: %(error)s',
                {'type': type(error).__name__,
                 'error': str(error).partition('\n')[0][:MAX_ERROR]})
            LOG.debug('Not considered for this volume:', exc_info=True)
            self._multiplier = 0.0
            return [0.0] * len(weighed_obj_list)
        return result

    def _weigh_object(self, obj: Any, weight_properties: dict[str, Any]
                      ) -> float:
        """Weigh a pool on its own; see cinder.scheduler."""
        return self.weigh_objects(
            [weights.WeighedHost(obj, 0.0)], weight_properties)[0]

    def _weigh(self, weighed: Sequence[Any], properties: dict[str, Any]
               ) -> list[float]:
        self._multiplier, seconds = conf.values(CONF)
        result = [0.0] * len(weighed)
        if not self._multiplier:
            return result
        request = volume_request.VolumeRequest.read(properties)
        if request.image is None:
            return result
        pools = [pools_mod.Pool.of(item.obj) for item in weighed]
        chosen = [index for index, pool in enumerate(pools)
                  if request.may_go_to(pool.id)]
        if not chosen:
            return result
        _warn_of_options()
        scored = self._score(
            request, [pools[index] for index in chosen],
            properties['context'], seconds)
        for index, score in zip(chosen, scored.scores, strict=True):
            result[index] = score.weight
        self._expect(request, scored, [weighed[index].weight
                                       for index in chosen])
        once.forget(LOG, _FAILED)
        return result

    def _score(self, request: volume_request.VolumeRequest,
               pools: Sequence[pools_mod.Pool], context: Any, seconds: int
               ) -> _Scored:
        image = str(request.image)
        # The only query; it has an index on image_id.
        cached = pools_mod.CachedVolumes(
            db.image_volume_cache_get_all(context, image_id=image))
        served = [cached.serve(pool) for pool in pools]
        warm = {pool.place for pool, serves in zip(pools, served, strict=True)
                if serves}
        seen = self._recent.look(
            image, [(pool.id, pool.place) for pool in pools], warm, seconds)
        # What failed in a pool may fail again there, and the pool may still
        # be expected to fetch the image for the volume.
        holds = [
            scoring.Holds.COLD if pool.id in request.tried
            else scoring.Holds.WARM if serves
            else scoring.Holds.FILLING if pool.place in seen.filling
            else scoring.Holds.COLD
            for pool, serves in zip(pools, served, strict=True)]
        return _Scored(pools, scoring.scores(
            holds, cached.size or request.size, seen.counts,
            _fullness(pools, holds, request),
            spreads=self._multiplier > 0 and not _packs()))

    def _expect(self, request: volume_request.VolumeRequest, scored: _Scored,
                before: Sequence[float]) -> None:
        """Remember and say where the volume will go.

        Cinder takes the first of the pools with the largest sum
        (``_choose_top_backend``, cinder 29.0.0).
        """
        totals = [total + self._multiplier * score.weight for total, score
                  in zip(before, scored.scores, strict=True)]
        winner = max(range(len(totals)), key=totals.__getitem__)
        pool, score = scored.pools[winner], scored.scores[winner]
        fills = score.holds is scoring.Holds.COLD and pool.fills
        if request.volume:
            self._recent.record(request.volume, str(request.image), pool.id,
                                pool.place if fills else None)
        LOG.info(
            'Volume %(volume)s of image %(image)s is expected in %(pool)s '
            '(%(score)s); of %(number)d pools %(warm)d hold the image and '
            '%(filling)d fetch it.',
            {'volume': request.volume, 'image': request.image,
             'pool': pool.id, 'score': score, 'number': len(scored.pools),
             'warm': _number(scored, scoring.Holds.WARM),
             'filling': _number(scored, scoring.Holds.FILLING)})
        if LOG.isEnabledFor(logging.DEBUG):
            for pool, score, total in zip(
                    scored.pools, scored.scores, totals, strict=True):
                LOG.debug('Pool %(pool)s: %(score)s, sum %(total).3f',
                          {'pool': pool.id, 'score': score, 'total': total})


def _fullness(pools: Sequence[pools_mod.Pool],
              holds: Sequence[scoring.Holds],
              request: volume_request.VolumeRequest
              ) -> list[scoring.Fullness | None]:
    """Return how full pools are; nobody asks if all weigh nothing."""
    if not any(held.value for held in holds):
        return [None] * len(pools)
    result: list[scoring.Fullness | None] = []
    for pool in pools:
        load = pool.load(request.size, request.thick)
        result.append(load and scoring.Fullness(
            load[0], scoring.IDLE_VOLUMES * request.size / load[1]))
    return result


def _packs() -> bool:
    """Return whether Cinder's weighers fill one pool after the other."""
    names = CONF.scheduler_default_weighers
    return bool(
        ('CapacityWeigher' in names and CONF.capacity_weight_multiplier < 0)
        or ('AllocatedCapacityWeigher' in names
            and CONF.allocated_capacity_weight_multiplier > 0))


def _number(scored: _Scored, holds: scoring.Holds) -> int:
    return sum(score.holds is holds for score in scored.scores)


def _warn_of_options() -> None:
    """Warn once of what leaves the weigher without its effect.

    Weighers that come later have weights that are not seen here; and
    StochasticHostWeightHandler normalizes no weights, so that CapacityWeigher
    counts GiB, and draws the pool by lot (cinder 29.0.0).
    """
    handler = str(CONF.scheduler_weight_handler)
    if 'Stochastic' in handler:
        once.warning(
            LOG, ('handler', handler),
            'scheduler_weight_handler (%s) draws pools by lot: beside '
            'CapacityWeigher, whose weights are GiB then, '
            'image_volume_cache_weight_multiplier has next to no effect, and '
            'where volumes go is not known. Use OrderedHostWeightHandler, or '
            'take ImageVolumeCacheWeigher out of scheduler_default_weighers.',
            handler)
    names = CONF.scheduler_default_weighers
    if names[-1:] != [ImageVolumeCacheWeigher.__name__]:
        once.warning(
            LOG, ('order', str(names)),
            'ImageVolumeCacheWeigher is not the last one of '
            'scheduler_default_weighers (%s): it cannot tell where volumes '
            'go, and expects images to arrive in the wrong pools. Put it '
            'last.', ', '.join(names))
