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

"""The page about the image caches of a cloud, in a real browser."""

import datetime
import os

import fixtures
from oslotest import base

from cache_aware_sched.decision_log import periods
from cache_aware_sched.decision_log.summary import DecisionSum
from cache_aware_sched.fleet import caps
from cache_aware_sched.fleet.hosts import Fleet
from cache_aware_sched.fleet.hosts import ReportingHost
from cache_aware_sched.fleet.images import FleetImages
from cache_aware_sched.fleet.images import KnownImage
from cache_aware_sched.fleet_page import page
from cache_aware_sched import report
from tests.functional import pages

GIB = 2 ** 30
HOSTS, IMAGES, HELD = 1000, 5000, 100
NOW = datetime.datetime(2026, 11, 26, 12)

#: Beside plotly.js, which has some 5 MB.
MOST_BYTES = 1_000_000


def cloud(hosts=HOSTS, images=IMAGES, log=True):
    """Return a cloud whose hosts hold some images each."""
    known = [KnownImage(f'{number:012d}', f'id{number}', GIB)
             for number in range(images)]
    known[0].id = pages.HOSTILE
    nodes = {}
    for number in range(hosts):
        held = sorted({(number * at) % images for at in range(HELD)})
        files = [report.BaseFile(f'{image:040d}', GIB, users=at % 2)
                 for at, image in enumerate(held)]
        host = ReportingHost(
            f'compute{number}', f'compute{number}', 'cell1', 'up', '', (),
            NOW, report.Report(report.encode(files, max_bytes=65535)), '')
        nodes[host.name, host.node] = host
        for image in held:
            known[image].holding.append(host)
            known[image].servers = {
                **known[image].servers,
                (host.name, host.node): 1 + number % 9}
    hours = [periods.Period(
        NOW.replace(tzinfo=datetime.UTC) + number * periods.HOUR, DecisionSum(
            number % 5, warm=number % 3 and number % 5,
            seconds=100.0 * number, size=GIB))
        for number in range(168)] if log else None
    return page.ShownCloud(
        NOW, FleetImages(known, nodes, {'cell2': pages.HOSTILE}),
        caps.FleetCaps(Fleet(list(nodes.values()), {}), instead=10), hours)


def written(directory, shown):
    """Write the page of a cloud; return its path."""
    path = os.path.join(directory, 'page.html')
    with open(path, 'w') as file:
        file.write(page.render(shown))
    return path


def drawn(shown, figure):
    return shown.evaluate(
        f'document.getElementById("{figure}").calcdata.map(d => d.length)')


class FleetPageTestCase(pages.PageTestCase):

    @classmethod
    def write(cls, directory):
        return written(directory, cloud())


class SizeTests(FleetPageTestCase):

    def test_size_is_bounded(self):
        with open(self.path) as file:
            text = file.read()
        without = text.partition('<script type="application/json"')
        data = without[2].partition('</script>')[0]

        self.assertLess(len(without[0]) + len(data), MOST_BYTES)


@pages.needs_browser
class CloudPageTests(FleetPageTestCase, pages.OpenPageTestCase):

    def test_all_figures_are_drawn(self):
        self.assertEqual(1, pages.count(self.page, '#map .hm image'))
        self.assertEqual([200, 200], self.page.evaluate(
            '(z => [z.length, z[0].length])('
            'document.getElementById("map").calcdata[0][0].z)'))
        self.assertEqual([168, 168], drawn(self.page, 'hit-rate'))
        self.assertEqual([168], drawn(self.page, 'saved'))
        self.assertEqual([HOSTS], drawn(self.page, 'concentration'))
        self.assertEqual([HOSTS, HOSTS], drawn(self.page, 'fill'))

    def test_worst_failures_come_first(self):
        servers = self.page.evaluate(
            '[...document.querySelectorAll("table")].find(table => '
            'table.textContent.includes("Below the cap by"))'
            '.querySelectorAll("tbody td:nth-child(4)").length')
        first = self.page.evaluate(
            '[...document.querySelectorAll("table")].find(table => '
            'table.textContent.includes("Below the cap by"))'
            '.querySelector("tbody td:nth-child(4)").textContent')

        self.assertEqual((30, '9'), (servers, first))

    def test_names_are_text(self):
        self.assertEqual('undefined', self.page.evaluate('typeof hacked'))
        self.assertEqual(0, pages.count(self.page, 'img'))
        for place in ('.note', '.results:last-of-type'):
            self.assertIn(pages.HOSTILE[:20], self.page.evaluate(
                'document.body.textContent'), place)

    def test_pointing_at_the_map_tells_what_is_there(self):
        self.page.evaluate('Plotly.Fx.hover(document.getElementById("map"), '
                           '{xval: 0, yval: 0}, "xy")')
        self.page.wait_until('document.querySelector(".hovertext")')

        shown = self.page.evaluate(
            'document.querySelector("#map .hoverlayer").textContent')
        self.assertRegex(shown, r'\d+ % held.*5 hosts, compute\d+ to ')


@pages.needs_browser
class OtherScreensTests(FleetPageTestCase, pages.ScreensTestCase):

    TEXTS = ('#hit-rate .xtitle', '#hit-rate .y2title', '#map .ytitle')


@pages.needs_browser
class SmallCloudTests(base.BaseTestCase):

    def open(self, hosts, images):
        path = self.useFixture(fixtures.TempDir()).path
        shown = pages.opened(written(path, cloud(hosts, images, log=False)))
        self.addCleanup(shown.close)
        return shown

    def test_one_host_is_seen(self):
        shown = self.open(1, 1)

        self.assertEqual(1, pages.count(shown, '#concentration .point'))
        self.assertEqual(2, pages.count(shown, '#fill .point'))

    def test_without_a_decision_log(self):
        shown = self.open(2, 3)

        self.assertEqual(0, pages.count(shown, '#hit-rate'))
        self.assertEqual([2], drawn(shown, 'concentration'))
        self.assertEqual([], shown.named('Runtime.exceptionThrown'))
