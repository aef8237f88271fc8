"""The report in a real browser, opened from disk."""

import json
import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest
from browsing import find, move, opened, settle, texts
from builders import run
from report_files import HOSTILE, NUM_VIEWS, encoded, write_selection
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.by import By

from projects.data_distillation import DetectionStore
from projects.data_distillation.experiment.stages.model_names import TRAINED
from projects.data_distillation.report.gallery import GROUP_SIZE
from projects.data_distillation.report.page import (
    write_page,
    write_selection_report,
)
from projects.data_distillation.report.picture_page import (
    Card,
    Mark,
    write_cards,
)
from projects.data_distillation.report.stage_history import StageRecord

pytestmark = pytest.mark.slow

# What the page asks for; its log is emptied by reading it.
LOADED = 'Network.requestWillBeSent'
NONE = 101


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    """Labels with hostile names, of which a filter stops some."""
    filters = [dict(type='MinViews', num_views=2)]
    folder = tmp_path_factory.mktemp('selection')
    return write_selection(folder, filters=filters, masks=True)


@pytest.fixture(scope='module')
def file(source, tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp('page') / 'report.html'
    stages = [StageRecord('annotate', None, [], [], None)]
    write_page(file, HOSTILE[0], [(HOSTILE[1], HOSTILE[2])], stages, source)
    return file


@pytest.fixture
def page(browser, file):
    """The page, just opened."""
    return opened(browser, file)


def rows_of(source) -> dict[str, dict]:
    """The stored row of each image, by its name."""
    rows = DetectionStore(source.detections).read().to_pylist()
    return {row['file_name']: row for row in rows}


def expected_labels(source, min_scores: list[float]) -> dict[str, int]:
    """Count, by image, the stored detections that are labels."""
    return {
        name: sum(
            views >= 2 and score >= np.float32(min_scores[label])
            for score, label, views in zip(
                row['scores'], row['labels'], row['num_views']
            )
        )
        for name, row in rows_of(source).items()
    }


def shown_labels(page) -> dict[str, int]:
    """Count the boxes that can be seen on each small image."""
    return page.execute_script(
        """return Object.fromEntries(
            [...document.querySelectorAll('#thumbnails button')].map(b => [
                b.getAttribute('aria-label').replace(/, \\d+ box(es)?$/, ''),
                [...b.querySelectorAll('.box:not(.true)')]
                    .filter(e => e.checkVisibility()).length]))"""
    )


def test_page_opens_from_disk_without_errors_or_requests(page, file):
    entries = [
        json.loads(entry['message'])['message']
        for entry in page.get_log('performance')
    ]
    urls = [
        entry['params']['request']['url']
        for entry in entries
        if entry['method'] == LOADED
    ]

    assert page.get_log('browser') == []
    assert file.as_uri() in urls
    assert all(url.startswith(('data:', 'file:')) for url in urls)
    assert sum(url.startswith('file:') for url in urls) == 1


def test_names_of_classes_are_shown_as_text(page):
    boxes = texts(page, '#large .box span')

    assert texts(page, '#classes tbody th') == list(HOSTILE)
    assert texts(page, '#sliders label') == list(HOSTILE)
    assert set() < set(boxes) <= set(HOSTILE)
    assert HOSTILE[2] in texts(page, '#plots text')


def test_names_of_files_are_shown_as_text(page, source):
    assert page.title == f'{HOSTILE[0]}: data distillation'
    assert texts(page, 'h1') == [HOSTILE[0]]
    assert HOSTILE[1] in texts(page, 'dt')
    assert set(shown_labels(page)) == set(rows_of(source))


def test_names_add_no_elements(page):
    assert not page.find_elements(By.CSS_SELECTOR, 'img[src=x]')
    # Ours, and that of the data.
    assert len(page.find_elements(By.TAG_NAME, 'script')) == 2


def test_page_begins_with_the_labels_of_the_file(page, source):
    content = json.loads(source.pseudo_labels.read_text())
    by_id = {image['id']: image['file_name'] for image in content['images']}
    expected = dict.fromkeys(by_id.values(), 0)
    for label in content['annotations']:
        expected[by_id[label['image_id']]] += 1

    assert shown_labels(page) == expected
    assert sum(expected.values()) > 0
    rates = texts(page, '#sliders .rates')
    assert sum(float(text.split()[0]) for text in rates) == pytest.approx(
        len(content['annotations']) / len(content['images']), abs=0.02
    )


def test_masks_come_and_go_with_their_boxes(page):
    def count() -> tuple:
        return tuple(
            len(page.find_elements(By.CSS_SELECTOR, f'#large {kind}'))
            for kind in (
                'path.mask',
                '.box:not(.true)',
                'path.true',
                '.box.true',
            )
        )

    for _ in range(3):
        find(page, '#next').click()
    masks, boxes, *truth = count()
    assert masks == boxes > 0 and truth == [0, 0]

    find(page, '#truth').click()
    settle(page)
    masks, boxes, masks_of_truth, truth = count()
    assert masks == boxes > 0 and masks_of_truth == truth > 0

    move(page, 'score-all', NONE)
    assert count() == (0, 0, truth, truth)
    assert page.get_log('browser') == []


def test_slider_of_a_class_moves_its_boxes_alone(page, source):
    before = texts(page, 'output')

    for label, value in ((1, 37), (2, 80), (1, 5)):
        move(page, f'score-{label}', value)

    min_scores = read_min_scores(source)
    min_scores[1:] = [0.05, 0.80]
    assert shown_labels(page) == expected_labels(source, min_scores)
    assert texts(page, 'output')[1] == before[1]
    assert texts(page, 'output')[2:] == ['0.050', '0.800']


def read_min_scores(source) -> list[float]:
    content = json.loads(source.pseudo_labels.read_text())
    return [*content['info']['data_distillation']['min_scores'].values()]


@pytest.mark.parametrize('value', [0, 50, 99, 100, NONE])
def test_one_slider_moves_all_classes(page, source, value):
    move(page, 'score-all', value)

    wanted = np.inf if value == NONE else value / 100
    expected = expected_labels(source, [wanted] * len(HOSTILE))
    assert shown_labels(page) == expected
    number = f'{sum(expected.values()) / len(expected):.2f}'
    assert texts(page, '#all .rates')[0].startswith(f'{number} per image')
    assert 'labeled 3.00' in texts(page, '#all .rates')[0]


def test_precision_and_recall_follow_the_sliders(page, source):
    def shown() -> str:
        return find(page, '#score-all-rate').text.rpartition('precision ')[2]

    truth = json.loads(Path(source.truth).read_text())
    before = shown()

    move(page, 'score-all', 0)
    everything = shown()
    precision, recall = map(float, everything.split(', recall '))
    stored = sum(expected_labels(source, [0.0] * 3).values())
    found = round(precision * stored)
    assert recall == pytest.approx(found / len(truth['annotations']), abs=0.02)
    move(page, 'score-all', NONE)
    assert shown() == '-, recall 0.00'
    find(page, '#reset').click()
    settle(page)
    assert shown() == before != everything


def test_images_that_are_wrong_are_a_group(page):
    assert texts(page, '#groups span')[-1] == 'Wrong against the truth'


def test_next_command_puts_the_labels_in_place(page, source):
    (command,) = texts(page, '#then')
    copy, chosen, place = shlex.split(command)
    assert (copy, place) == ('cp', str(source.pseudo_labels))
    assert f'--out {chosen} ' in find(page, '#command').get_attribute('value')


def test_slider_obeys_the_keyboard(page):
    slider = find(page, '#score-0')

    slider.send_keys(Keys.END)
    assert slider.get_attribute('aria-valuetext') == 'none'
    slider.send_keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT)

    assert slider.get_attribute('aria-valuetext') == '0.990'
    assert find(page, '#caption').text.endswith('(1 of 12)')


def test_chosen_scores_come_back(page, source):
    command = find(page, '#command').get_attribute('value')
    move(page, 'score-all', 10)

    find(page, '#reset').click()
    settle(page)

    assert find(page, '#command').get_attribute('value') == command
    min_scores = read_min_scores(source)
    assert shown_labels(page) == expected_labels(source, min_scores)


def test_copied_command_gives_the_labels_that_are_shown(page, source):
    move(page, 'score-0', 30)
    move(page, 'score-1', NONE)  # The third one keeps its chosen score.
    find(page, '#copy').click()
    command = find(page, '#command').get_attribute('value')
    assert page.execute_script('return String(getSelection())') == command

    done = run('bash', '-c', command)

    assert done.returncode == 0, done.stderr
    content = json.loads(
        source.pseudo_labels.with_name('chosen_labels.json').read_text()
    )
    names = {image['id']: image['file_name'] for image in content['images']}
    found = dict.fromkeys(names.values(), 0)
    for label in content['annotations']:
        found[names[label['image_id']]] += 1
    min_scores = [0.30, np.inf, read_min_scores(source)[2]]
    assert found == shown_labels(page)
    assert found == expected_labels(source, min_scores)
    assert sum(found.values()) > 0


def place(page) -> str:
    """Return which image is shown, as '1 of 12)'."""
    return find(page, '#caption').text.rpartition('(')[2]


def test_keys_step_through_the_images(page):
    stage = find(page, '#stage')

    stage.send_keys('n', Keys.ARROW_RIGHT, 'n')
    assert place(page) == '4 of 12)'
    stage.send_keys(Keys.ARROW_LEFT, 'p')
    assert place(page) == '2 of 12)'


def test_last_image_comes_before_the_first(page):
    find(page, '#stage').send_keys('p')
    assert place(page) == '12 of 12)'
    pressed = page.find_elements(By.CSS_SELECTOR, '[aria-pressed=true]')
    assert len(pressed) == 1

    find(page, '#next').click()

    assert place(page) == '1 of 12)'


def test_letters_step_only_where_images_are_looked_at(page):
    find(page, '#command').send_keys('n')
    find(page, 'nav a').send_keys('n')

    assert place(page) == '1 of 12)'


def with_boxes(page) -> None:
    """Go to the image with the most labels."""
    choose_group(page, 'Most labels')


def choose_group(page, name: str) -> None:
    for label in page.find_elements(By.CSS_SELECTOR, '#groups label'):
        if label.text == name:
            label.click()
    settle(page)


def test_pointing_at_a_box_says_what_it_is(page, source):
    with_boxes(page)
    box = page.find_elements(By.CSS_SELECTOR, '#large .box')[-1]

    # Into a corner: the middle may be another's.
    width, height = box.size['width'], box.size['height']
    ActionChains(page).move_to_element_with_offset(
        box, -width // 2 + 2, -height // 2 + 2
    ).perform()

    text = find(page, '#tip').text
    name, score, views = text.split(' · ')
    row = rows_of(source)[find(page, '#caption').text.rpartition(' (')[0]]
    assert (float(score.split()[1]), views) in [
        (pytest.approx(s, abs=5e-4), f'{v} of {NUM_VIEWS} views')
        for s, v in zip(row['scores'], row['num_views'])
    ]
    assert ' '.join(name.split()) in [' '.join(c.split()) for c in HOSTILE]


def test_boxes_are_listed_too(page, source):
    with_boxes(page)
    image = find(page, '#caption').text.rpartition(' (')[0]

    scores = texts(page, '#rows td:nth-child(2)')

    assert len(scores) == shown_labels(page)[image] > 0
    assert scores == sorted(scores, reverse=True)
    assert set(texts(page, '#rows td:first-child')) <= set(HOSTILE)


def test_truth_is_shown_on_demand(page, source):
    with_boxes(page)
    image = find(page, '#caption').text.rpartition(' (')[0]
    truth = json.loads(Path(source.truth).read_text())
    (image_id,) = (i['id'] for i in truth['images'] if i['file_name'] == image)
    expected = sum(a['image_id'] == image_id for a in truth['annotations'])

    assert not page.find_elements(By.CSS_SELECTOR, '.box.true')
    find(page, '#stage').send_keys('t')

    shown = page.find_elements(By.CSS_SELECTOR, '#large .box.true')
    assert len(shown) == expected > 0
    find(page, '#truth').click()
    assert not page.find_elements(By.CSS_SELECTOR, '.box.true')


def test_boxes_lie_where_they_were_found(page, source):
    with_boxes(page)
    image = find(page, '#caption').text.rpartition(' (')[0]
    frame = find(page, '#large .frame').rect

    found = [
        [
            (box.rect['x'] - frame['x']) / frame['width'] * 100,
            (box.rect['y'] - frame['y']) / frame['height'] * 100,
            box.rect['width'] / frame['width'] * 100,
        ]
        for box in page.find_elements(By.CSS_SELECTOR, '#large .box')
    ]

    corners = [
        [x1, y1, x2 - x1]
        for x1, y1, x2, _ in rows_of(source)[image]['bboxes_xyxy']
    ]
    for box in found:
        assert any(np.allclose(box, other, atol=0.5) for other in corners)


@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_narrow_page_needs_no_scrolling_to_the_side(browser, file, scheme):
    page = opened(browser, file, 390, scheme)

    width = 'return document.documentElement.scrollWidth'
    assert page.execute_script(width) == 390
    background = page.execute_script(
        'return getComputedStyle(document.body).backgroundColor'
    )
    assert (background == 'rgb(255, 255, 255)') == (scheme == 'light')


def test_table_that_goes_on_shows_a_shadow(browser, file):
    page = opened(browser, file, width=390)

    wide = page.execute_script(
        """return [...document.querySelectorAll('.scroll')]
            .filter(e => e.scrollWidth > e.clientWidth)
            .map(e => getComputedStyle(e).backgroundAttachment)"""
    )

    assert wide
    assert set(wide) == {'local, local, scroll, scroll'}


def test_table_of_classes_shows_all_models_at_once(browser, tmp_path):
    classes = ('RBC', 'WBC', 'Platelets')
    names = 'bbox_mAP', 'bbox_mAP_50', 'bbox_mAP_75'
    names += tuple(f'{name}_precision' for name in classes)
    metrics = dict.fromkeys(names, 0.5)
    stages = [StageRecord(name, None, [], [], metrics) for name in TRAINED]
    source = write_selection(tmp_path / 'selection', classes=classes)
    write_page(tmp_path / 'report.html', 'cells', [], stages, source)

    page = opened(browser, tmp_path / 'report.html')

    assert texts(page, '#classes thead th')[-1] == 'AP oracle'
    hidden = """const table = document.querySelector('#classes .scroll')
        return table.scrollWidth - table.clientWidth"""
    assert page.execute_script(hidden) == 0


def test_classes_can_be_searched_if_there_are_many(browser, tmp_path):
    classes = tuple(f'class {n}' for n in range(13))
    source = write_selection(tmp_path, classes=classes)
    write_selection_report(tmp_path / 'report.html', source)
    page = opened(browser, tmp_path / 'report.html')

    find(page, '#search').send_keys('CLASS 1')

    shown = [
        slider.text.split('\n')[0]
        for slider in page.find_elements(By.CSS_SELECTOR, '#sliders .slider')
        if slider.is_displayed()
    ]
    assert shown == ['class 1', 'class 10', 'class 11', 'class 12']


def test_200_images_open_in_time_and_are_not_large(browser, tmp_path):
    content = encoded(np.random.default_rng(0), 600, 800)
    source = write_selection(
        tmp_path, num_images=400, per_image=100, content=content
    )
    file = tmp_path / 'report.html'
    write_selection_report(file, source)

    page = opened(browser, file)

    settle(page)
    milliseconds = page.execute_script('return performance.now()')
    num_images = page.execute_script('return data.images.length')
    assert 150 <= num_images <= 5 * GROUP_SIZE
    assert len(shown_labels(page)) == GROUP_SIZE
    assert file.stat().st_size <= 20e6
    assert milliseconds <= 3000


REVERSED = 'a\u202ebc'
MARKUP = """<img src=x onerror='alert("x")'>&lt;"</script><!--"""


def test_every_text_of_a_page_of_cards_is_text(browser, tmp_path):
    image = tmp_path / f'{HOSTILE[1].replace("/", "")}.png'
    image.write_bytes(encoded(np.random.default_rng(0), 100, 100))
    marks = [Mark((9, 9, 40, 40), f'{MARKUP} 0.90', 'found')]
    cards = [
        Card(MARKUP, path, (100, 100), f'reason {MARKUP}', marks)
        for path in (image, tmp_path / MARKUP.replace('/', ''))
    ]
    write_cards(tmp_path / 'cards.html', MARKUP, [MARKUP], cards)

    page = opened(browser, tmp_path / 'cards.html')

    assert page.get_log('browser') == []
    assert page.title == f'{MARKUP}: data distillation'
    assert texts(page, 'h1, h2, .notes li') == [MARKUP] * 4
    assert texts(page, '.box span') == [f'{MARKUP} 0.90']
    assert texts(page, '.cards p')[-1] == f'reason {MARKUP}'
    assert texts(page, '.cards .nothing')[0].startswith('No picture: cannot')
    assert not page.find_elements(By.CSS_SELECTOR, 'img[src=x], script')


def test_numbers_beside_a_name_of_another_direction_are_not_mirrored(
    browser, tmp_path
):
    source = write_selection(tmp_path, 2, classes=('a', REVERSED))
    write_page(tmp_path / 'page.html', 'x', [], [], source)
    page = opened(browser, tmp_path / 'page.html')

    tips = page.execute_script(
        "return [...document.querySelectorAll('.box')]"
        '.map(box => box.dataset.tip)'
    )

    assert any(tip.startswith(f'\u2068{REVERSED}\u2069 ·') for tip in tips)
    assert any(tip.startswith('a ·') for tip in tips)


def test_tool_takes_a_picture(browser, file, tmp_path, call_tool):
    out = tmp_path / 'page.png'

    done = call_tool('screenshot', file, out, '--width', 600, '--height', 300)

    assert done.stdout == f'written: {out}\n'
    assert cv2.imread(str(out)).shape == (300, 600, 3)
