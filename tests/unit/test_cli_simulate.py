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

import csv
import json
import os
from unittest import mock

import fixtures
import nova.conf

from cache_aware_sched.simulator import parallel
from cache_aware_sched.simulator import policy as policy_mod
from cache_aware_sched.simulator.real_nova import fragments
from cache_aware_sched.simulator.results import columns
from cache_aware_sched.simulator import settings
from tests import simulator_results
from tests.unit import base
from tests.unit import command

#: So few that it takes no time to make them.
SMALL = ('--synthetic', '--boots', '40', '--hosts', '2', '--hours', '1',
         '--used-share', '0.05')

OURS = 'cache_aware_sched'
FILTER = 'ImageAntiAffinityFilter'

TRACE = """\
arrival_s,batch,vcpus,ram_mb,lifetime_s
0,1,1,512,60
5,2,2,1024,
"""


class CommandTestCase(base.TestCase):
    """Runs the command with simulations that are told what they find."""

    def setUp(self):
        super().setUp()
        self.path = self.useFixture(fixtures.TempDir()).path
        self.simulated = []
        self.run_all = self.useFixture(fixtures.MockPatchObject(
            parallel, 'run_all', autospec=True,
            side_effect=self.results)).mock

    def results(self, workload, settings, policies, seed=0, workers=1,
                progress=None):
        self.simulated += policies
        self.settings, self.workload = settings, workload
        return [simulator_results.of_policy(policy) for policy in policies]

    def simulate(self, *argv):
        """Run a simulation that succeeds; return what it printed."""
        status, out, err = command.execute('simulate', *SMALL, *argv)
        self.assertEqual(0, status, err)
        return out

    def assert_refused(self, why, *argv, status=2):
        """Assert that there is one clear line, and nothing is simulated."""
        found, out, err = command.execute('simulate', *argv)

        self.assertEqual((status, ''), (found, out))
        self.assertIn(why, err.splitlines()[-1])
        # argparse's usage, of which there is one line
        self.assertLessEqual(len(err.splitlines()), 2, err)
        self.assertEqual([], self.simulated)

    def names(self):
        return [policy.name for policy in self.simulated]

    def write(self, name, text):
        path = os.path.join(self.path, name)
        with open(path, 'w') as file:
            file.write(text)
        return path


class ApplicationTests(CommandTestCase):

    def test_version(self):
        status, out, _err = command.execute('--version')

        self.assertEqual(0, status)
        self.assertRegex(out, r'\d+\.\d+')

    def test_without_a_command(self):
        status, out, _err = command.execute()

        self.assertEqual(0, status)
        self.assertIn('simulate', out)

    def test_help_of_a_command(self):
        for argv in (('help', 'simulate'), ('simulate', '--help')):
            status, out, _err = command.execute(*argv)

            self.assertEqual(0, status)
            self.assertIn('--max-imbalance', out)

    def test_unknown_command(self):
        self.assertEqual(2, command.execute('no-such-command')[0])


class OutputTests(CommandTestCase):

    def test_json_has_all_figures_in_full(self):
        found = json.loads(self.simulate('-f', 'json'))

        expected = simulator_results.result().columns()
        self.assertEqual(expected, found[0])

    def test_table_is_for_people(self):
        lines = self.simulate().splitlines()

        titles, stock = (
            [cell.strip() for cell in lines[number].strip('|').split('|')]
            for number in (1, 3))
        figures = dict(zip(titles, stock, strict=True))
        self.assertEqual(
            {'Policy': 'stock', 'Cold': '579', 'Cold %': '58.1',
             'TB': '38.1', 'Floor TB': '5.00', 'Mean s': '14.2',
             'p50 s': '6.5', 'p95 s': '66.4', 'p99 s': '76.9',
             'Image max': '12', 'Project max': '9', 'Loss %': '16.3',
             'vCPU imb.': '0.140', 'RAM imb.': '0.150', 'Refused': '3',
             'Resched.': '0'}, figures)

    def test_numbers_of_any_column_are_for_people(self):
        self.run_all.side_effect = None
        self.run_all.return_value = [simulator_results.result(
            boots=16000, multiplier=2.5, seconds=1234.5678)] * 5

        line = self.simulate('-c', 'multiplier', '-c', 'boots', '-c',
                             'seconds').splitlines()[3]

        self.assertEqual(['2.5', '16,000', '1,234.6'],
                         line.replace('|', ' ').split())

    def test_every_column_at_once(self):
        """No two have one title, which the table does not take."""
        argv = [part for name in columns.BY_NAME for part in ('-c', name)]

        self.assertIn('Fetched TB', self.simulate(*argv))

    def test_chosen_columns(self):
        out = self.simulate(
            '-f', 'csv', '-c', 'policy', '-c', 'vcpu_imbalance')

        self.assertEqual(
            ['policy', 'vcpu_imbalance'], next(csv.reader(out.splitlines())))
        self.assertIn('"stock",0.14', out)

    def test_sorted(self):
        found = json.loads(self.simulate(
            '-f', 'json', '--sort-column', 'policy'))

        self.assertEqual(sorted(self.names()),
                         [line['policy'] for line in found])

    def test_unknown_columns_are_told_at_once(self):
        for flag in ('-c', '--sort-column'):
            self.assert_refused("no column 'colour'", *SMALL, flag, 'colour')

    def test_what_is_simulated_is_told_aside(self):
        _status, out, err = command.execute('simulate', *SMALL, '--seed', '7')

        self.assertRegex(err, r'40 servers of \d+ images are asked for in '
                              r'\d\.\d hours, on 2 hosts; seed 7\.')
        self.assertNotIn('asked for', out)

    def test_quiet(self):
        self.assertEqual('', command.execute('-q', 'simulate', *SMALL)[2])


class PoliciesTests(CommandTestCase):

    def test_without_any(self):
        self.simulate()

        self.assertEqual(
            ['stock', 'ours', 'binary x 1', 'one-over-n x 1',
             'image-locality x 1'], self.names())

    def test_multipliers(self):
        self.simulate('--multiplier', '0.5', '--multiplier', '2')

        self.assertEqual(['stock', 'ours x 0.5', 'ours x 2'], self.names())
        self.assertEqual(
            '[cache_aware_sched]\nimage_cache_weight_multiplier = 2\n',
            self.simulated[-1].fragment)

    def test_all_digits_of_a_multiplier_count(self):
        self.simulate('--multiplier', '0.12345678', '--reference',
                      'binary:1.0000001')

        self.assertEqual(
            ['stock', 'ours x 0.12345678', 'binary x 1.0000001'],
            self.names())
        self.assertIn('multiplier = 0.12345678\n',
                      self.simulated[1].fragment)

    def test_references(self):
        self.simulate('--reference', 'binary:1.5', '--reference',
                      'one-over-n', '--no-stock')

        self.assertEqual(
            [policy_mod.reference('binary', 1.5),
             policy_mod.reference('one-over-n', 1.0)], self.simulated)

    def test_fragment_of_a_file(self):
        text = '[cache_aware_sched]\nsame_image_scope = project\n'
        path = self.write('nova.conf', text)

        self.simulate('--policy', f'mine={path}')

        self.assertEqual(policy_mod.ours('mine', text), self.simulated[1])

    def test_fragment_in_the_command_line(self):
        self.simulate('--policy', 'a=[x] b = 1; c = 2 [y] d=3', '--policy',
                      'defaults=')

        self.assertEqual('[x]\nb = 1\nc = 2\n[y]\nd=3',
                         self.simulated[1].fragment)
        self.assertEqual('', self.simulated[2].fragment)

    def test_multipliers_of_option_sets(self):
        own = '[cache_aware_sched] image_cache_weight_multiplier = 3'

        self.simulate('--policy', 'a=', '--policy', f'b={own}',
                      '--multiplier', '1', '--multiplier', '2')

        self.assertEqual(['stock', 'a x 1', 'a x 2', 'b'], self.names())

    def test_common_options_are_of_all_policies(self):
        self.simulate('--common', '[DEFAULT] a = 1', '--policy', 'b=[x] c=2')

        self.assertEqual(['[DEFAULT]\na = 1\n', '[DEFAULT]\na = 1\n[x]\nc=2'],
                         [policy.fragment for policy in self.simulated])

    def test_precaching(self):
        """Hosts of stock nova and of the references report no images."""
        self.simulate('--multiplier', '1', '--multiplier', '2', '--reference',
                      'binary', '--precache')

        self.assertEqual(
            ['stock', 'ours x 1', 'ours x 1, pre-cached', 'ours x 2',
             'ours x 2, pre-cached', 'binary x 1'], self.names())
        self.assertEqual([False, False, True, False, True, False], [
            policy.precache for policy in self.simulated])
        self.assertEqual(
            ['stock', 'ours', 'ours, pre-cached', 'ours', 'ours, pre-cached',
             'binary'], [policy.family for policy in self.simulated])

    def test_columns_of_precaching(self):
        for argv, shown in (((), False), (('--precache',), True)):
            out = self.simulate(*argv)
            for title in ('Wait %', 'Later TB', 'Ahead TB', 'Public p95 s'):
                self.assertEqual(shown, title in out, title)

    def test_names_are_unique(self):
        self.assert_refused("two policies 'a'", *SMALL, '--policy', 'a=',
                            '--policy', 'a=')
        self.assert_refused("two policies 'stock'", *SMALL, '--policy',
                            'stock=')
        self.assert_refused('the name of another policy', *SMALL, '--policy',
                            'binary=')

    def test_unknown_reference(self):
        self.assert_refused("'best' is not known: binary, one-over-n",
                            *SMALL, '--reference', 'best:2')

    def test_what_is_no_policy(self):
        for text in ('a', '=x', '[DEFAULT] a = 1'):
            self.assert_refused('it must be NAME=FILE or NAME=FRAGMENT',
                                *SMALL, '--policy', text)

    def test_missing_fragment(self):
        self.assert_refused('/missing cannot be read: No such file', *SMALL,
                            '--policy', f'a={self.path}/missing')

    def test_no_policy_at_all(self):
        self.assert_refused('at least 1', *SMALL, '--workers', '0')


class InputTests(CommandTestCase):

    def test_options_reach_what_they_are_for(self):
        self.simulate('--host-vcpus', '32', '--cache-manager', 'lru',
                      '--no-image-disk', '--public-images', '1',
                      '--private-share', '0', '--limit', '5')

        self.assertEqual(
            settings.Settings(hosts=2, host_vcpus=32, cache_manager='lru',
                              image_disk=False), self.settings)
        self.assertEqual((5, 1), (len(self.workload.boots),
                                  len(self.workload.images)))

    def test_trace(self):
        status, _out, err = command.execute(
            'simulate', '--trace', self.write('t.csv', TRACE))

        self.assertEqual(0, status, err)
        self.assertEqual([1, 2], [boot.vcpus for boot in self.workload.boots])

    def test_one_source(self):
        self.assert_refused('not allowed with argument', '--synthetic',
                            '--from-nova')
        self.assert_refused('one of the arguments --trace --from-nova '
                            '--synthetic is required', '--hosts', '3')

    def test_bad_line(self):
        path = self.write('t.csv', TRACE + '9,3,many,512,\n')

        self.assert_refused(f'{path}: line 4, column vcpus', '--trace', path,
                            status=1)

    def test_missing_trace(self):
        self.assert_refused('/missing: No such file or directory',
                            '--trace', '/missing', status=1)

    def test_options_of_another_source(self):
        self.assert_refused('--used-share is of use only with --synthetic',
                            '--trace', 't.csv', '--used-share', '0.1')
        self.assert_refused('--config-file is of use only with --from-nova',
                            *SMALL, '--config-file', 'nova.conf')

    def test_out_of_bounds(self):
        for argv, why in (
                (('--hosts', '0'), '--hosts must be at least 1, not 0'),
                (('--hosts', '100001'), '--hosts must be at most 100000'),
                (('--image-cache-high-watermark-percent', '101'),
                 '--image-cache-high-watermark-percent must be at most 100'),
                (('--host-ram-mb', '-1'), '--host-ram-mb must be at least 1'),
                (('--host-ram-mb', '600'), '--reserved-host-memory-mb leave '
                 '88 MiB'),
                (('--zipf-exponent', '-1'), '--zipf-exponent must be at'),
                (('--image-min-gb', '3'), '--image-median-gb must be from '
                 '--image-min-gb to --image-max-gb'),
                (('--flavor', '0:1:1'), '--flavor must be vCPUs'),
                (('--boots', '-1'), '--boots must be at least 0'),
                (('--claim-delay', '9'), '--claim-delay is a part of '
                 '--boot-seconds'),
                (('--precache-interval', '0'), '--precache-interval must be '
                 'at least 1'),
                (('--precache-concurrency', '0'), '--precache-concurrency '
                 'must be at least 1'),
                (('--precache-half-life-hours', '0'),
                 '--precache-half-life-hours must be more than 0'),
                (('--precache-min-copies', '0'), '--precache-min-copies must '
                 'be at least 1'),
                (('--fetch-mb-s', 'nan'), 'not a number'),
                (('--flavor', '1:2'), 'VCPUS:RAM_MB:WEIGHT'),
                (('--cache-manager', 'best'), 'invalid choice')):
            self.assert_refused(why, *SMALL, *argv)

    def test_more_than_the_servers_can_use(self):
        self.assert_refused(
            '--used-share must be at most 0.00', *SMALL,
            '--used-share', '0.9', '--boots', '2')

    def test_synthetic_servers_are_so_many_for_each_host(self):
        command.execute('simulate', '--synthetic', '--hosts', '1')

        self.assertEqual(160, len(self.workload.boots))


class ProtectedImageTests(CommandTestCase):

    TRACE = '''\
arrival_s,batch,vcpus,ram_mb,lifetime_s,image_id
0,1,1,512,,Golden
5,2,1,512,,other
'''

    def warnings(self, *images):
        argv = [text for image in images
                for text in ('--protected-image', image)]
        status, _out, err = command.execute(
            'simulate', '--trace', self.write('t.csv', self.TRACE), *argv)
        self.assertEqual(0, status, err)
        return [line for line in err.splitlines() if '--' in line]

    def test_id_of_the_trace(self):
        self.assertEqual([], self.warnings('Golden', 'other'))

    def test_ids_that_no_server_has(self):
        self.assertEqual(
            ['--protected-image has no effect for golden, b: no server of '
             'the workload has such an image'],
            self.warnings('golden', 'other', 'b'))


class FailureTests(CommandTestCase):

    def test_failed_policy(self):
        self.run_all.side_effect = parallel.PolicyFailed(
            "policy 'a': [x] y is not an option")

        status, out, err = command.execute('-q', 'simulate', *SMALL)

        self.assertEqual(
            (1, '', "policy 'a': [x] y is not an option\n"),
            (status, out, err))

    def test_interrupted(self):
        self.run_all.side_effect = KeyboardInterrupt

        self.assertEqual((130, '', 'Interrupted.\n'),
                         command.execute('-q', 'simulate', *SMALL))


class ReportTests(CommandTestCase):

    def report(self, *argv):
        self.simulate('--report', f'{self.path}/new/report', *argv)
        with open(f'{self.path}/new/report/results.json') as file:
            return json.load(file)

    def test_results_are_beside_the_page(self):
        found = self.report('--reference', 'binary:2')

        self.assertEqual(['stock', 'binary x 2'],
                         [line['policy'] for line in found['results']])
        self.assertEqual(['stock', 'binary'],
                         [line['family'] for line in found['results']])
        self.assertTrue(os.path.exists(f'{self.path}/new/report/index.html'))

    def test_command_line_and_attribution(self):
        found = self.report('--attribution', 'A. Nonymous, CC BY')

        self.assertIn("cache-aware-sched simulate --synthetic",
                      found['command'])
        self.assertEqual('A. Nonymous, CC BY', found['attribution'])

    def test_assumptions(self):
        groups = dict(self.report('--hosts', '3')['assumptions'])

        self.assertIn(('--hosts', '3'), [
            (row['name'], row['value'])
            for row in groups['The simulated cloud']])
        for rows in groups.values():
            self.assertEqual([], [row for row in rows if not row['name']])

    def test_table_is_shown_if_the_report_cannot_be_written(self):
        os.makedirs(f'{self.path}/report/index.html')

        status, out, err = command.execute(
            '-q', 'simulate', *SMALL, '-f', 'json', '--report',
            f'{self.path}/report')

        self.assertEqual(1, status)
        self.assertTrue(json.loads(out))
        self.assertIn('the report cannot be written', err)
        self.assertIn('index.html', err)

    def test_attribution_of_nothing(self):
        self.assert_refused('--attribution is of use only with --report',
                            *SMALL, '--attribution', 'CC BY')

    def test_without_plotly(self):
        with mock.patch('importlib.util.find_spec', autospec=True,
                        return_value=None):
            self.assert_refused(
                "pip install 'plotly>=6.3'", *SMALL, '--report', self.path)

    def test_directory_that_cannot_be(self):
        path = self.write('file', '')

        self.assert_refused(f'{path} cannot be made', *SMALL, '--report',
                            path)


class SuggestTests(CommandTestCase):

    LIMITS = ('--suggest', '--max-imbalance', '0.31', '--max-same-image', '10')

    def results(self, workload, settings, policies, seed=0, workers=1,
                progress=None):
        self.simulated += policies
        return [self.result(policy) for policy in policies]

    def result(self, policy):
        if policy.kind == policy_mod.STOCK:
            return simulator_results.of_policy(policy, fetched_bytes=10 ** 13)
        multiplier = float(policy.name.split()[-1])
        return simulator_results.of_policy(
            policy, vcpu_imbalance=0.14 + multiplier / 10, max_same_image=10,
            fetched_bytes=int(10 ** 13 / (1 + multiplier)))

    def test_lines_for_nova_conf(self):
        out = self.simulate(*self.LIMITS)

        self.assertIn('\n[cache_aware_sched]\n'
                      'image_cache_weight_multiplier = 1.6\n'
                      'max_same_image_instances_per_host = 10\n', out)
        self.assertIn('fetched: 3.85 TB, 38% of stock (stock nova: 10.0', out)

    def test_lines_of_the_plugins(self):
        found = self.pasted(*self.LIMITS)

        self.assertEqual({
            ('filter_scheduler', 'available_filters'): [
                'nova.scheduler.filters.all_filters',
                f'cache_aware_sched.scheduler.filters.{FILTER}'],
            ('filter_scheduler', 'enabled_filters'): ','.join(
                (*nova.conf.CONF.filter_scheduler.enabled_filters, FILTER)),
            ('filter_scheduler', 'weight_classes'):
                'nova.scheduler.weights.all_weighers,cache_aware_sched.'
                'scheduler.weights.ImageCacheWeigher',
            (OURS, 'image_cache_weight_multiplier'): '1.6',
            (OURS, 'max_same_image_instances_per_host'): '10'}, found)

    def test_lines_go_with_the_lists_of_the_cloud(self):
        found = self.pasted(
            *self.LIMITS, '--common', '[filter_scheduler] '
            'enabled_filters = ComputeFilter; cpu_weight_multiplier = 2',
            '--policy', f'x=[{OURS}] same_image_scope = project '
            '[filter_scheduler] ram_weight_multiplier = 3; '
            'weight_classes = mine.Weigher')

        self.assertEqual(
            {'available_filters': mock.ANY,
             'enabled_filters': f'ComputeFilter,{FILTER}',
             'weight_classes': 'mine.Weigher,'
             'cache_aware_sched.scheduler.weights.ImageCacheWeigher',
             'ram_weight_multiplier': '3'},
            {name: value for (section, name), value in found.items()
             if section == 'filter_scheduler'})
        self.assertEqual('project', found[OURS, 'same_image_scope'])

    def pasted(self, *argv):
        """Return the options that the suggested lines set in a nova.conf."""
        out = self.simulate(*argv)
        return fragments.read(out[out.index('# For '):])

    def test_the_same_whatever_the_workers_are(self):
        alone, together = (self.simulate(*self.LIMITS, '--workers', workers)
                           for workers in ('1', '7'))

        self.assertEqual(alone, together)

    def test_what_reads_json_gets_json(self):
        status, out, err = command.execute(
            'simulate', *SMALL, *self.LIMITS, '-f', 'json')

        self.assertEqual(0, status)
        self.assertEqual(['ours x 1.6'], [
            line['policy'] for line in json.loads(out) if line['suggested']])
        self.assertIn('image_cache_weight_multiplier = 1.6\n', err)

    def test_nothing_keeps_to_the_limits(self):
        status, out, _err = command.execute(
            'simulate', *SMALL, *self.LIMITS, '--max-imbalance', '0.1')

        self.assertEqual(1, status)
        self.assertIn('Nothing that was tried keeps to a vCPU imbalance', out)
        self.assertIn('Closest comes the multiplier 0', out)
        self.assertNotIn('\n[', out)

    def test_options_besides(self):
        self.simulate(*self.LIMITS, '--policy', 'x=[image_cache] '
                      'manager_interval = 1', '--common', '[DEFAULT] host = 2')

        self.assertEqual('[DEFAULT]\nhost = 2\n', self.simulated[0].fragment)
        for policy in self.simulated[1:]:
            self.assertEqual(
                ['[DEFAULT]', 'host = 2', '[image_cache]',
                 'manager_interval = 1', '[cache_aware_sched]'],
                policy.fragment.splitlines()[:5])

    def test_in_the_report(self):
        self.simulate(*self.LIMITS, '--report', self.path)

        with open(f'{self.path}/results.json') as file:
            found = json.load(file)
        self.assertIn('multiplier = 1.6', found['suggestion'])

    def test_secrets_of_a_nova_conf_are_not_in_the_report(self):
        conf = self.write('nova.conf', '''
[placement]
password = s3cret
[api_database]
connection = mysql+pymysql://nova:s3cret@db/nova_api
[keystone_authtoken]
passphrase_of_the_key = s3cret
# s3cret, in a comment
''')

        self.simulate(*self.LIMITS, '--common', conf, '--policy',
                      f'mine={conf}', '--report', self.path)

        for name in ('results.json', 'index.html'):
            with open(f'{self.path}/{name}') as file:
                text = file.read()
            self.assertNotIn('s3cret', text)
            self.assertIn('connection = ***', text)

    def test_what_does_not_go_together(self):
        for argv, why in (
                (('--suggest',), 'needs --max-imbalance and --max-same'),
                (('--max-imbalance', '1'), 'only with --suggest'),
                ((*self.LIMITS, '--multiplier', '2'), 'at most one --policy'),
                ((*self.LIMITS, '--precache'), 'no --multiplier'),
                ((*self.LIMITS, '--max-same-image', '0'),
                 '--max-same-image must be at least 1, not 0'),
                ((*self.LIMITS, '--max-imbalance', '0'),
                 '--max-imbalance must be more than 0, not 0')):
            self.assert_refused(why, *SMALL, *argv)
