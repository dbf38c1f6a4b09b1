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


"""The report of a simulation, in a real browser."""

import json
import os
import subprocess
import sys

import fixtures
from oslotest import base

from cache_aware_sched.simulator import comparison
from cache_aware_sched.simulator.report import figures
from cache_aware_sched.simulator.report import page
from cache_aware_sched.simulator.results.result import Finding
from tests.functional import pages
from tests import simulator_results

OURS, BINARY = (1.0, 2.0, 4.0), (1.0, 1.5)

#: The command in a process of its own.
COMMAND = (
    sys.executable, '-W', 'ignore', '-c',
    'import sys; from cache_aware_sched.cli import app; sys.exit(app.main())')

TRACE = """\
arrival_s,batch,vcpus,ram_mb,lifetime_s,image_id,image_size_gb,project
""" + ''.join(
    f'{60 * number},{number},1,512,,image-{number % 3},2,project-a\n'
    for number in range(12))


def entries():
    """Return what eight policies made of some boots."""
    return [
        Finding(
            policy, simulator_results.of_policy(
                policy, vcpu_imbalance=0.14 + number / 50,
                fetched_bytes=(40 - 3 * number) * 10 ** 12,
                heat_map=simulator_results.heat_map(20, 10, seed=number)))
        for number, policy in enumerate(comparison.chosen(
            [('ours', ''), (pages.HOSTILE, '[a]\nb = <c>\n')], OURS,
            [('binary', multiplier) for multiplier in BINARY], True, ''))]


def about():
    return page.About(
        summary='16,000 servers', command='cache-aware-sched simulate',
        version='1.0', notes=[pages.HOSTILE], attribution=pages.HOSTILE,
        suggestion=pages.HOSTILE, suggested='ours x 2', assumptions=[
            ('The cloud', [page.Assumption('--hosts', '100', pages.HOSTILE)])])


class SimulatorPageTestCase(pages.PageTestCase):

    @classmethod
    def write(cls, directory):
        return page.write(directory, about(), entries())


@pages.needs_browser
class PageTests(SimulatorPageTestCase, pages.OpenPageTestCase):

    def test_all_figures_have_their_points(self):
        compared = entries()
        families = figures.families(compared)
        self.assertEqual(len(compared),
                         pages.count(self.page, '#frontier .point'))
        self.assertEqual(
            len(families),
            pages.count(self.page, '#frontier .scatterlayer .trace'))
        # One of each family: so many lines would be hard to tell apart
        self.assertEqual(
            len(families),
            pages.count(self.page, '#hit-rates .scatterlayer .js-line'))
        for side in ('left', 'right'):
            self.assertEqual(
                1, pages.count(self.page, f'#map-{side} .hm image'))
            self.assertEqual([20, 10], self.page.evaluate(
                f'(z => [z.length, z[0].length])(document.getElementById('
                f'"map-{side}").calcdata[0][0].z)'))
        self.assertEqual(len(compared),
                         pages.count(self.page, '.results tbody tr'))

    def test_suggested_policy_is_marked(self):
        self.assertEqual(['ours x 2 (suggested)'], self.page.evaluate(
            '[...document.querySelectorAll(".suggested td:first-child")]'
            '.map(cell => cell.textContent)'))
        self.assertIn('suggested: x', self.page.evaluate(
            'document.getElementById("frontier").textContent'))

    def test_names_are_text(self):
        self.assertEqual('undefined', self.page.evaluate('typeof hacked'))
        self.assertEqual(0, pages.count(self.page, 'img'))
        for place in ('.results', 'footer', '#frontier', '.assumptions'):
            self.assertIn(pages.HOSTILE[:20], self.page.evaluate(
                f'document.querySelector("{place}").textContent'))

    def test_no_button_sends_anything(self):
        self.assertEqual(
            {'Download plot', 'Zoom', 'Pan', 'Zoom in', 'Zoom out',
             'Reset axes'},
            set(self.page.evaluate(
                '[...document.querySelectorAll(".modebar-btn")].map('
                'button => button.dataset.title)')))

    def test_pointing_at_a_mark_shows_its_options(self):
        # The second family: ours
        self.page.point_at('#frontier .trace:nth-child(2) .point')
        self.page.wait_until('document.querySelector(".hovertext")')

        shown = self.page.evaluate(
            'document.querySelector(".hoverlayer").textContent')
        self.assertIn('ours x 1', shown)
        self.assertIn('image_cache_weight_multiplier = 1', shown)

    def test_choosing_a_policy_redraws_its_map(self):
        servers = ('JSON.stringify('
                   'document.getElementById("map-right").data[0].z)')
        before = self.page.evaluate(servers)

        self.page.evaluate(
            '(select => {select.value = "binary x 1.5";'
            'select.dispatchEvent(new Event("change"))})'
            '(document.querySelector("[data-side=right] select"))')

        self.page.wait_until(f'{servers} !== {json.dumps(before)}')
        self.assertEqual(
            figures.heat_map(entries()[-1].result)['servers'],
            json.loads(self.page.evaluate(servers)))


@pages.needs_browser
class OtherScreensTests(SimulatorPageTestCase, pages.ScreensTestCase):

    TEXTS = ('#frontier .xtitle', '#map-left .ytitle')


@pages.needs_browser
class CommandTests(base.BaseTestCase):

    def test_from_a_trace_to_the_page(self):
        path = self.useFixture(fixtures.TempDir()).path
        trace = os.path.join(path, 'trace.csv')
        with open(trace, 'w') as file:
            file.write(TRACE)

        done = subprocess.run(
            [*COMMAND, 'simulate', '--trace', trace, '--hosts', '3',
             '--multiplier', '2', '-f', 'json', '--report', path],
            capture_output=True, text=True, timeout=150, check=False)

        self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual(
            [('stock', 12), ('ours x 2', 12)],
            [(line['policy'], line['boots'])
             for line in json.loads(done.stdout)])
        shown = pages.opened(os.path.join(path, 'index.html'))
        self.addCleanup(shown.close)
        self.assertEqual(2, pages.count(shown, '#frontier .point'))
