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
import tempfile

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
from tests.functional.test_simulator_page import count
from tests.functional.test_simulator_page import HOSTILE
from tests.functional.test_simulator_page import needs_browser
from tests.functional.test_simulator_page import opened

GIB = 2 ** 30
HOSTS, IMAGES, HELD = 1000, 5000, 100
NOW = datetime.datetime(2026, 11, 26, 12)

#: Beside plotly.js, which has some 5 MB.
MOST_BYTES = 1_000_000


def cloud(hosts=HOSTS, images=IMAGES, log=True):
    """Return a cloud whose hosts hold some images each."""
    known = [KnownImage(f'{number:012d}', f'id{number}', GIB)
             for number in range(images)]
    known[0].id = HOSTILE
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
        NOW, FleetImages(known, nodes, {'cell2': HOSTILE}), caps.FleetCaps(
            Fleet(list(nodes.values()), {}), instead=10), hours)


def drawn(shown, figure):
    return shown.evaluate(
        f'document.getElementById("{figure}").calcdata.map(d => d.length)')


class PageTestCase(base.BaseTestCase):
    """Has a page of a large cloud that all tests only look at."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(directory.cleanup)
        cls.path = os.path.join(directory.name, 'page.html')
        with open(cls.path, 'w') as file:
            file.write(page.render(cloud()))


class SizeTests(PageTestCase):

    def test_size_is_bounded(self):
        with open(self.path) as file:
            text = file.read()
        without = text.partition('<script type="application/json"')
        data = without[2].partition('</script>')[0]

        self.assertLess(len(without[0]) + len(data), MOST_BYTES)


@needs_browser
class CloudPageTests(PageTestCase):

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.page = opened(cls.path)
        cls.addClassCleanup(cls.page.close)

    def test_all_figures_are_drawn(self):
        self.assertEqual(1, count(self.page, '#map .hm image'))
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

    def test_nothing_leaves_the_page(self):
        requested = [event['request']['url'] for event
                     in self.page.named('Network.requestWillBeSent')]

        self.assertEqual([], [
            url for url in requested[1:] if not url.startswith('data:')])

    def test_no_errors(self):
        for kind in ('Runtime.exceptionThrown', 'Runtime.consoleAPICalled',
                     'Log.entryAdded'):
            self.assertEqual([], self.page.named(kind))

    def test_names_are_text(self):
        self.assertEqual('undefined', self.page.evaluate('typeof hacked'))
        self.assertEqual(0, count(self.page, 'img'))
        for place in ('.note', '.results:last-of-type'):
            self.assertIn(HOSTILE[:20], self.page.evaluate(
                'document.body.textContent'), place)

    def test_pointing_at_the_map_tells_what_is_there(self):
        self.page.evaluate('Plotly.Fx.hover(document.getElementById("map"), '
                           '{xval: 0, yval: 0}, "xy")')
        self.page.wait_until('document.querySelector(".hovertext")')

        shown = self.page.evaluate(
            'document.querySelector("#map .hoverlayer").textContent')
        self.assertRegex(shown, r'\d+ % held.*5 hosts, compute\d+ to ')


@needs_browser
class OtherScreensTests(PageTestCase):

    def open(self, **how):
        shown = opened(self.path, **how)
        self.addCleanup(shown.close)
        return shown

    def test_fits_a_telephone(self):
        shown = self.open(width=390)

        self.assertEqual(390, shown.evaluate(
            'document.documentElement.scrollWidth'))

    def test_dark_theme(self):
        shown = self.open(dark=True)

        for text in ('#hit-rate .xtitle', '#hit-rate .y2title',
                     '#map .ytitle'):
            self.assertEqual('rgb(228, 231, 235)', shown.evaluate(
                f'getComputedStyle(document.querySelector("{text}")).fill'))


@needs_browser
class SmallCloudTests(base.BaseTestCase):

    def test_one_host_is_seen(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, 'page.html')
            with open(path, 'w') as file:
                file.write(page.render(cloud(1, 1, log=False)))
            shown = opened(path)
            self.addCleanup(shown.close)

            self.assertEqual(1, count(shown, '#concentration .point'))
            self.assertEqual(2, count(shown, '#fill .point'))

    def test_without_a_decision_log(self):
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, 'page.html')
            with open(path, 'w') as file:
                file.write(page.render(cloud(2, 3, log=False)))
            shown = opened(path)
            self.addCleanup(shown.close)

            self.assertEqual(0, count(shown, '#hit-rate'))
            self.assertEqual([2], drawn(shown, 'concentration'))
            self.assertEqual([], shown.named('Runtime.exceptionThrown'))
