"""The search for views and a merger, on boxes whose quality is known.

And the table and the configs of what was found.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from projects.data_distillation import DetectionStore
from projects.data_distillation.label_files.coco.matching import ImageMatches
from projects.data_distillation.pseudo_labels.quality.bootstrap import (
    draw_images,
)
from projects.data_distillation.pseudo_labels.tuning import (
    search as search_module,
)
from projects.data_distillation.pseudo_labels.tuning.judge import (
    Choice,
    Judge,
    Trial,
)
from projects.data_distillation.pseudo_labels.tuning.result import (
    TuningResult,
    explain_unseen,
    find_choice,
    name_views,
)
from projects.data_distillation.pseudo_labels.tuning.search import (
    NUM_FOLDS,
    NUM_MERGED,
    Unseen,
    Verdict,
    add_blocks,
    choose_or_keep,
    choose_trial,
    compare_trials,
    cross_validate,
    group_views,
    search_trials,
    take_first_views,
)

FLIP = dict(type='Flip')
SMALL, LARGE, WRONG = (
    dict(type='Resize', scale=(side, side)) for side in (50, 100, 200)
)
# Half of the objects show in the small view, half in the large one, and the
# last one shows only what is not there.
VIEWS = [[SMALL], [SMALL, FLIP], [LARGE], [LARGE, FLIP], [WRONG]]
BLOCKS = [(0, 1), (2, 3), (4,)]
NUM_IMAGES = 12
MERGERS = dict(nms=dict(type='NMSMerger'), wbf=dict(type='WBFMerger'))


def make_boxes(number: int, view: int) -> list[tuple[list[float], float]]:
    """The boxes of a view of an image, with their scores."""
    if view == 4:
        return [([70, 70, 90, 90], 0.95)]
    is_small = view < 2
    if is_small != (number % 2 == 0):
        return []
    return [([10, 10, 40, 40], 0.9)]


def make_row(number: int) -> dict:
    of_views = [make_boxes(number, view) for view in range(len(VIEWS))]
    boxes = [box for view in of_views for box in view]
    return dict(
        file_name=f'{number}.png',
        image_id=number,
        width=100,
        height=100,
        bboxes_xyxy=[],
        scores=[],
        labels=[],
        num_views=[],
        corner_spread=[],
        view_bboxes_xyxy=[box for box, _ in boxes],
        view_scores=[score for _, score in boxes],
        view_labels=[0] * len(boxes),
        view_counts=[len(view) for view in of_views],
        view_run_index=list(range(len(VIEWS))),
    )


@pytest.fixture
def judge(tmp_path) -> Judge:
    return make_judge(tmp_path)


def make_judge(tmp_path: Path) -> Judge:
    """A judge of the boxes of twelve images."""
    truth = dict(
        images=[dict(id=n, file_name=f'{n}.png') for n in range(NUM_IMAGES)],
        categories=[dict(id=1, name='thing')],
        annotations=[
            dict(id=n + 1, image_id=n, category_id=1, bbox=[10, 10, 30, 30])
            for n in range(NUM_IMAGES)
        ],
    )
    (tmp_path / 'truth.json').write_text(json.dumps(truth))
    made_by = dict(views=VIEWS, merger=MERGERS['nms'], keep_views=True)
    store = DetectionStore(tmp_path / 'detections', made_by)
    store.add(*map(make_row, range(NUM_IMAGES)))
    store.flush()
    return Judge(store.folder, tmp_path / 'truth.json', MERGERS)


ALL = np.ones(NUM_IMAGES, bool)


@pytest.mark.slow
def test_views_that_find_all_are_chosen_without_their_flips(judge):
    trials = search_trials(judge, BLOCKS, ALL)
    verdicts = compare_trials(trials, ALL)
    chosen = choose_trial(verdicts)

    assert chosen.choice.numbers == (0, 2)
    assert max(verdict.mean_ap for verdict in verdicts) == 1
    assert len({trial.choice for trial in trials}) == len(trials)


@pytest.mark.slow
def test_flips_and_mergers_are_tried_on_what_was_best(judge):
    tried = {trial.choice for trial in search_trials(judge, BLOCKS, ALL)}

    for numbers in [(0, 1), (0, 1, 2, 3)]:
        assert Choice(numbers, 'nms') in tried
    for numbers in [(0, 2), (0, 1, 2, 3)]:
        assert Choice(numbers, 'wbf') in tried
    assert sum(choice.merger == 'wbf' for choice in tried) == NUM_MERGED


@pytest.mark.slow
def test_log_says_how_far_the_search_is(judge, monkeypatch):
    lines = []
    monkeypatch.setattr(search_module, 'TRIALS_PER_LINE', 3)
    monkeypatch.setattr(search_module, 'log_from_any_rank', lines.append)

    num_tried = len(search_trials(judge, BLOCKS, ALL))

    counts = [int(line.split(' choices tried')[0]) for line in lines]
    assert counts == [*range(3, num_tried + 1, 3)]
    assert lines[-1].endswith(', the best has 100.0 mAP')


@pytest.mark.slow
def test_choices_that_cost_too_much_are_left_out(judge):
    trials = search_trials(judge, BLOCKS, ALL, max_cost=10_000)

    assert max(trial.cost for trial in trials) == 10_000
    assert choose_trial(compare_trials(trials, ALL)).choice.numbers in [
        (0,),
        (2,),
    ]


@pytest.mark.slow
def test_only_the_images_that_may_be_looked_at_count(judge):
    is_even = np.arange(NUM_IMAGES) % 2 == 0

    chosen = choose_trial(
        compare_trials(search_trials(judge, BLOCKS, is_even), is_even)
    )

    assert chosen.choice.numbers == (0,)


def test_choices_are_judged_on_other_images(judge):
    wrong, small, both = (
        judge.try_choice(Choice(numbers, 'nms'))
        for numbers in [(4,), (0,), (0, 2)]
    )

    unseen = cross_validate([wrong, small, both], small)

    assert unseen.chosen == 1
    assert unseen.reference == pytest.approx(0.5, abs=0.1)


def make_trial(wrong: int, num_images: int = NUM_FOLDS) -> Trial:
    """Finds the only object of each of few images, but not that of one."""
    images = np.delete(np.arange(num_images), wrong)
    num = len(images)
    matches = ImageMatches(
        images,
        np.zeros(num, int),
        np.ones(num, np.float32),
        *np.ones((2, num, 1), bool),
        np.ones((num_images, 1), int),
    )
    return Trial(Choice((wrong,), 'nms'), 1, matches)


def test_choice_that_is_good_only_where_it_was_made_is_found_out():
    # Each image is a part of its own. Only one trial finds all others.
    trials = [make_trial(wrong) for wrong in range(NUM_FOLDS)]

    unseen = cross_validate(trials, trials[0])

    assert unseen.chosen == 0
    assert unseen.reference == pytest.approx(1 - 1 / NUM_FOLDS)


def test_reference_is_kept_if_choices_do_not_hold():
    trials = [make_trial(wrong) for wrong in range(NUM_FOLDS)]
    verdicts = compare_trials(trials, np.ones(NUM_FOLDS, bool))

    kept, unseen = choose_or_keep(verdicts, trials[3])

    assert kept is trials[3] is not choose_trial(verdicts)
    assert unseen == Unseen(0, pytest.approx(1 - 1 / NUM_FOLDS), 0)
    assert choose_or_keep(verdicts, None) == (choose_trial(verdicts), None)


def test_choice_that_holds_is_taken(judge):
    good, poor = (judge.try_choice(Choice((n,), 'nms')) for n in (0, 4))

    chosen, unseen = choose_or_keep(compare_trials([poor, good], ALL), poor)

    assert chosen is good
    assert unseen.chosen > unseen.reference


def test_cheaper_choice_is_taken_unless_it_is_measurably_worse():
    """One misses an object of 40 and costs a tenth; its error is as much."""
    cheap, complete = make_trial(0, 40), make_trial(39, 40)
    cheap = replace(cheap, cost=0.1)
    verdicts = compare_trials([cheap, complete], np.ones(40, bool))

    chosen, unseen = choose_or_keep(verdicts, complete)

    assert chosen is cheap
    assert unseen.error > 0


def test_error_of_choices_is_that_of_drawn_images(judge):
    """In each part, as many images as in the part are drawn."""
    small, both = (
        judge.try_choice(Choice(numbers, 'nms')) for numbers in [(0,), (0, 2)]
    )

    unseen = cross_validate([both], small)

    # The share of even images of a part is the mAP of the small view there.
    parts = np.random.default_rng(0).permutation(NUM_IMAGES) % NUM_FOLDS
    odd = [np.flatnonzero(parts == part) % 2 for part in range(NUM_FOLDS)]
    variance = sum(one.var() / len(one) for one in odd) / NUM_FOLDS**2
    assert unseen.error == pytest.approx(variance**0.5, rel=0.1)


@pytest.mark.parametrize(('chosen', 'is_worse'), [(0.48, 0), (0.47, 1)])
def test_choices_are_worse_beyond_the_error(chosen, is_worse):
    assert Unseen(chosen, 0.5, 0.025).is_worse == is_worse


@pytest.mark.parametrize('num_images', [2, 3, NUM_FOLDS - 1])
def test_fewer_images_than_parts_are_a_part_each(num_images):
    trials = [make_trial(wrong, num_images) for wrong in range(num_images)]

    unseen = cross_validate(trials, trials[0])

    assert unseen.reference == pytest.approx(1 - 1 / num_images)


@pytest.mark.parametrize('num_images', [0, 1])
def test_choices_cannot_be_judged_on_less_than_two_images(num_images):
    trial = Trial(Choice((0,), 'nms'), 1, make_matches(num_images))

    assert cross_validate([trial], trial) is None


def make_matches(num_images: int) -> ImageMatches:
    """No detection on images with an object each."""
    nothing = np.zeros(0, int)
    return ImageMatches(
        nothing,
        nothing,
        np.zeros(0, np.float32),
        *np.zeros((2, 0, 1), bool),
        np.ones((num_images, 1), int),
    )


def test_cost_is_the_number_of_pixels(judge):
    assert judge.cost([0]) == 50 * 50
    assert judge.cost([0, 1, 2]) == 2 * 50 * 50 + 100 * 100


def test_views_that_look_the_same_cost_once(judge):
    same = np.array([0, 0, 2, 3, 4])
    judge.rows = [
        (row, replace(boxes, run_index=same)) for row, boxes in judge.rows
    ]

    assert judge.cost([0, 1]) == 50 * 50


def test_views_of_the_pipeline_cost_one_each(judge):
    judge.store.provenance['views'] = None

    assert judge.cost([0, 3]) == 2
    assert len(judge.list_views()) == len(VIEWS)


def test_views_are_those_of_the_store(judge):
    assert judge.list_views() == json.loads(json.dumps(VIEWS))


def test_images_that_could_not_be_read_are_not_judged(judge):
    columns = ('bboxes_xyxy', 'scores', 'labels', 'counts', 'run_index')
    nothing = {f'view_{name}': [] for name in columns}
    judge.store.add(dict(make_row(99), unreadable='torn', **nothing))
    judge.store.flush()

    again = Judge(judge.store.folder, judge.truth_file, MERGERS)

    assert len(again.rows) == NUM_IMAGES


def test_box_that_fits_less_is_right_at_the_lower_ious(judge):
    for one in judge.truth['annotations']:
        one['bbox'] = [10, 10, 30, 40]

    both = judge.try_choice(Choice((0, 2), 'nms'))

    # The IoU is 3/4.
    assert both.mean_ap(np.ones((1, NUM_IMAGES))) == pytest.approx(3 / 5)


def test_merger_is_that_of_the_choice(judge):
    nms, wbf = (judge.try_choice(Choice((0, 2), name)) for name in MERGERS)

    # The other view did not find the box.
    assert (wbf.matches.scores < nms.matches.scores).all()


def test_views_that_differ_by_flips_are_one_block():
    vertical = dict(FLIP, direction='vertical')
    other = [dict(type='Gamma', gamma=2.0), SMALL]

    assert group_views(VIEWS) == BLOCKS
    assert group_views([[FLIP], [SMALL, vertical], [], [SMALL], other]) == [
        (0, 2),
        (1, 3),
        (4,),
    ]


def test_blocks_are_added_while_the_quality_rises():
    gains = {0: 0.1, 1: 0.3, 2: 0.2, 3: -0.1}

    path = add_blocks(
        [(0,), (1,), (2,), (3,)],
        lambda blocks: sum(gains[number] for (number,) in blocks),
    )

    assert path == [[(1,)], [(1,), (2,)], [(1,), (2,), (0,)]]


def test_one_block_is_tried_even_if_nothing_is_right():
    assert add_blocks([(0,), (1,)], lambda blocks: 0.0) == [[(0,)]]


def test_first_views_of_blocks_are_taken():
    blocks = [(3, 4, 5), (0, 1, 2), (6,)]

    assert take_first_views(blocks, 1) == (0, 3, 6)
    assert take_first_views(blocks, 2) == (0, 1, 3, 4, 6)


def make_verdict(cost: float, mean_ap: float, error: float) -> Verdict:
    """A verdict beside a best mAP of 0.5."""
    trial = Trial(Choice((0,), 'nms'), cost, None)
    return Verdict(trial, mean_ap, 0.5 - mean_ap, error)


def test_cheapest_choice_within_one_standard_error_is_chosen():
    best = make_verdict(9, 0.5, 0)
    as_good = make_verdict(4, 0.481, 0.02)
    too_bad = make_verdict(2, 0.479, 0.02)

    assert choose_trial([best, as_good, too_bad]) is as_good.trial


def test_better_one_of_equally_cheap_choices_is_chosen():
    worse = make_verdict(4, 0.49, 0.1)
    better = make_verdict(4, 0.5, 0)

    assert choose_trial([worse, better]) is better.trial


def test_error_is_that_of_the_difference_between_drawn_images(judge):
    small, both = (
        judge.try_choice(Choice(numbers, 'nms')) for numbers in [(0,), (0, 2)]
    )

    of_small, of_both = compare_trials([small, both], ALL)

    assert of_both.deficit == of_both.error == 0
    # Precision 1 at the recalls up to 1/2, 51 of 101.
    assert of_small.deficit == pytest.approx(50 / 101)
    # The share of even images among 12 drawn ones.
    assert of_small.error == pytest.approx((0.25 / 12) ** 0.5, rel=0.1)
    drawn = draw_images(NUM_IMAGES)
    deficits = both.mean_ap(drawn) - small.mean_ap(drawn)
    assert of_small.error == pytest.approx(deficits.std())


def test_best_of_all_images_is_the_best_of_each_draw(judge):
    small, large = (
        judge.try_choice(Choice(numbers, 'nms')) for numbers in [(0,), (2,)]
    )

    of_small, of_large = compare_trials([small, large], ALL)

    assert of_small.error == of_small.deficit == of_large.deficit == 0
    # One finds what the other does not.
    assert of_large.error == pytest.approx(2 * (0.25 / 12) ** 0.5, rel=0.1)


def test_detections_are_judged_once(judge, tmp_path: Path):
    first = judge.try_choice(Choice((0,), 'nms'))

    assert judge.try_choice(Choice((0,), 'nms')) is first


@pytest.fixture(scope='module')
def result(tmp_path_factory) -> TuningResult:
    """The best choice, beside the worst one as the reference."""
    judge = make_judge(tmp_path_factory.mktemp('result'))
    verdicts = compare_trials(search_trials(judge, BLOCKS, ALL), ALL)
    by_choice = {verdict.trial.choice: verdict for verdict in verdicts}
    best, worst = (
        by_choice[Choice(numbers, 'nms')] for numbers in [(0, 2), (4,)]
    )
    return TuningResult(judge, verdicts, best, worst, None)


@pytest.mark.slow
def test_table_has_the_best_trials_and_the_reference(result):
    rows = [
        [cell.strip() for cell in line.split('│')[1:-1]]
        for line in result.format().splitlines()
        if line.startswith('│')
    ]

    values = [float(row[3]) for row in rows if row[3]]
    assert values == sorted(values, reverse=True)
    assert len(values) == 9 < len(result.verdicts)
    assert [row[1] for row in rows[-2:]] == ['nms', 'annotate.py']
    assert [row[1] for row in rows].count('chosen') == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ('unseen', 'is_kept'),
    [
        (None, False),
        (Unseen(0.26, 0.27, 0.02), False),
        (Unseen(0.19, 0.27, 0.02), True),
    ],
)
def test_what_is_kept_is_said(result, tmp_path, unseen, is_kept):
    result = replace(result, unseen=unseen)

    result.write(tmp_path, tmp_path)

    assert ('as in annotate.py, since' in result.format()) == is_kept
    text = (tmp_path / 'annotate.py').read_text()
    assert ('those of the experiment' in text) == is_kept
    assert ('the cheapest ones' in text) != is_kept


def test_chosen_views_are_named(result, monkeypatch):
    text = result.format()

    assert 'chosen: views 0 2, merged by nms' in text
    assert 'view 0 is 50x50, view 2 is 100x100' in text
    monkeypatch.setitem(result.judge.store.provenance, 'views', None)
    assert 'view 0' not in result.format()


def test_views_are_named_by_their_transforms():
    gamma = dict(type='Gamma', gamma=2.0)
    vertical = dict(FLIP, direction='vertical')
    by_factor = dict(type='Resize', scale_factor=2.0)

    text = name_views([3, 4, 5, 9], [[SMALL, FLIP], [vertical], [], [gamma]])

    assert text == (
        'view 3 is 50x50 flipped (horizontal), view 4 is flipped (vertical), '
        'view 5 is the image, view 9 is Gamma(gamma=2.0)'
    )
    assert name_views([0], [[by_factor]]) == (
        'view 0 is Resize(scale_factor=2.0)'
    )


@pytest.mark.parametrize(
    ('chosen', 'words'),
    [
        (0.11, 'so within its standard error, and the choice is used. '),
        (0.10, 'so its views and its merger are kept. '),
        (0.13, 'so the choice holds there. '),
        (0.14, 'so the choice holds there. '),
    ],
)
def test_what_follows_from_other_images_is_said(chosen, words):
    text = explain_unseen(Unseen(chosen, 0.13, 0.025), 67)

    assert f'choices have {100 * chosen:.1f} mAP' in text
    assert 'annotate.py has 13.0, the difference ± 2.5, ' + words in text
    assert 'means over 5 parts' in text
    assert 'means over 3 parts' in explain_unseen(
        Unseen(chosen, 0.13, 0.02), 3
    )


def test_lines_fit_into_a_terminal(result):
    result = replace(result, unseen=Unseen(0.1, 0.2, 0.3))

    lines = result.format().splitlines()

    assert max(map(len, lines)) <= 80
    head = ' '.join(' '.join(lines[:4]).split())
    assert 'mAP is that of merged views, at the IoUs 0.5, 0.6, 0.7' in head
    end = ' '.join(' '.join(lines).split())
    assert explain_unseen(result.unseen, NUM_IMAGES) in end


def test_cost_is_a_share_of_that_of_the_reference(result):
    pixels = 50 * 50 + 100 * 100
    without = replace(result, reference=None)

    assert result.compare_cost(result.chosen) == pixels / (200 * 200)
    assert without.compare_cost(result.chosen) == (
        pixels / (2 * pixels + 200 * 200)
    )


def test_configs_name_the_folder_of_the_experiment_in_full(
    result, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)

    result.write(tmp_path / 'tune', Path('experiment'))

    for stage in ('annotate', 'validate'):
        text = (tmp_path / 'tune' / f'{stage}.py').read_text()
        assert f"_base_ = '{tmp_path}/experiment/{stage}.py'" in text


def test_views_of_the_pipeline_stay_there(result, tmp_path, monkeypatch):
    monkeypatch.setitem(result.judge.store.provenance, 'views', None)

    result.write(tmp_path, tmp_path)

    assert json.loads((tmp_path / 'tune.json').read_text())['views'] is None
    assert 'views=' not in (tmp_path / 'annotate.py').read_text()


def test_choice_is_found_by_its_configs(judge):
    views = [[dict(type='Resize', scale=[n, n])] for n in range(9)]
    judge.store.provenance['views'] = views
    wbf = MERGERS['wbf']

    found = find_choice([views[8], views[1]], wbf, judge)

    assert found == Choice((1, 8), 'wbf')
    assert find_choice([[]], wbf, judge) is None
    assert find_choice(None, wbf, judge) is None
    assert find_choice(views, dict(type='BoxVotingMerger'), judge) is None
    judge.store.provenance['views'] = None
    assert find_choice(views, wbf, judge) is None


def test_image_that_two_runs_did_counts_once(tmp_path):
    folder = make_judge(tmp_path).store.folder
    # What a second run found on one image, and could not read of another.
    other = DetectionStore(folder, DetectionStore(folder).provenance)
    other.add(make_row(0), dict(make_row(1), unreadable='torn'))
    other.flush()

    judge = Judge(folder, tmp_path / 'truth.json', MERGERS)

    names = [row['file_name'] for row, _ in judge.rows]
    assert sorted(names) == sorted(f'{n}.png' for n in range(NUM_IMAGES))
    trial = judge.try_choice(Choice((0, 2), 'nms'))
    assert trial.mean_ap(np.ones((1, NUM_IMAGES))) == pytest.approx(1)
