"""The gallery of errors in a real browser."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from browsing import find, move, opened, settle, texts
from report_files import HOSTILE, encoded, make_validation, write_selection
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.by import By

from projects.data_distillation.pseudo_labels.review.errors import (
    KINDS,
    MISSED,
    RIGHT,
)
from projects.data_distillation.report.error_tab import GROUP_SIZE
from projects.data_distillation.report.gallery import Tab
from projects.data_distillation.report.page import write_page
from projects.data_distillation.report.validation import Validation

pytestmark = pytest.mark.slow

NUM_IMAGES = GROUP_SIZE + 5
NAMES = [f"""{n}<img src=x onerror='alert("f")'>.png""" for n in range(25)]
MODELS = 'teacher', 'supervised_long', 'student'


def draw_boxes(random, per_image: int) -> list[tuple]:
    """Image, class and box, on a coarse grid, so that many overlap."""
    return [
        (
            image,
            int(random.integers(3)),
            (10.0 * random.integers(1, 7, 4)).tolist(),
        )
        for image in range(NUM_IMAGES)
        for _ in range(per_image)
    ]


@pytest.fixture(scope='module')
def validation(tmp_path_factory) -> Validation:
    """Two models on images and classes with hostile names."""
    random = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp('images')
    for name in NAMES:
        (folder / name).write_bytes(encoded(random, 100, 200))
    objects = draw_boxes(random, 4)
    others = [(image, (n + 1) % 3, bbox) for image, n, bbox in objects[1::4]]
    found = {
        # Of objects, of their places with another class, or of something
        # else; scores have two digits.
        name: [
            (*one, float(np.float32(random.integers(5, 100) / 100)))
            for one in (*objects[shift::3], *others, *draw_boxes(random, 2))
        ]
        for shift, name in enumerate(MODELS)
    }
    return make_validation(objects, found, HOSTILE, folder, names=NAMES)


@pytest.fixture(scope='module')
def file(validation, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('page')
    source = write_selection(folder / 'selection', 3)
    file = folder / 'report.html'
    write_page(file, 'x', [], [], source, validation=validation)
    return file


@pytest.fixture
def page(browser, file):
    return opened(browser, file)


def expect(validation: Validation, name: str, scores: dict) -> list[str]:
    """What stands below the pictures of an image."""
    image = NAMES.index(name)
    lines = []
    for model in validation.models:
        judged = model.judged
        is_shown = judged.find_shown(scores[model.name])
        mine = is_shown & (judged.found.image_index == image)
        counts = [int((mine & (judged.kinds == k)).sum()) for k in range(5)]
        of_image = judged.objects.image_index == image
        counts.append(int((judged.find_missed(is_shown) & of_image).sum()))
        right = (mine & (judged.kinds == RIGHT)).sum()
        kinds = [f'{n} {kind}' for n, kind in zip(counts, KINDS) if n]
        errors = 'error' if sum(counts) == 1 else 'errors'
        text = f'{right} right, {sum(counts)} {errors}'
        lines.append(text + (f': {", ".join(kinds)}' if kinds else ''))
    return lines


def test_suspicious_labels_are_marked_and_explained(
    browser, validation, tmp_path
):
    texts_of_marks = [f'label: {HOSTILE[0]}', 'found: b 0.90']
    marks = [
        [[10, 80, 30, 18, texts_of_marks[0], 'doubt'],
         [12, 2, 30, 40, texts_of_marks[1], 'found']],
        [],
    ]  # fmt: skip
    tab = Tab('Suspicious labels', [7, 3], [HOSTILE[1], 'why'], marks, 2)
    file = tmp_path / 'report.html'
    source = write_selection(tmp_path / 'selection', 3)
    changed = replace(validation, suspicious=tab)
    write_page(file, 'x', [], [], source, validation=changed)

    page = opened(browser, file)

    assert not find(page, '#errors-reason').is_displayed()
    assert not page.find_elements(By.CSS_SELECTOR, '.box.doubt')
    find(page, '#errors-groups label:last-child').click()
    assert shown_name(page) == NAMES[7]
    assert texts(page, '#errors-reason') == [HOSTILE[1]]
    for picture in ('#errors-pair > :first-child', '#errors-pair'):
        number = 1 if 'first' in picture else len(MODELS)
        for text, kind in zip(texts_of_marks, ('doubt', 'found')):
            names = f'{picture} .box.{kind} span.inside'
            assert texts(page, names) == [text] * number
    find(page, '#errors-next').click()
    assert texts(page, '#errors-reason') == ['why']
    assert not page.find_elements(By.CSS_SELECTOR, '.box.doubt')
    assert page.get_log('browser') == []


def shown_name(page) -> str:
    return find(page, '#errors-caption').text.rpartition(' (')[0]


def test_page_shows_every_text_as_text(page):
    assert page.get_log('browser') == []
    assert shown_name(page) in NAMES
    assert not page.find_elements(By.CSS_SELECTOR, 'img[src=x]')
    assert set(HOSTILE) <= set(texts(page, '#error-groups th'))


def test_counts_are_those_of_the_boxes(page, validation):
    scores = dict.fromkeys(MODELS, 0.5)
    for _ in range(3):
        find(page, '#errors-next').click()
        expected = expect(validation, shown_name(page), scores)
        assert texts(page, '#errors-pair .summary') == expected
        # The boxes in the pictures are those in the text.
        for model, text in enumerate(expected):
            picture = f'#errors-pair > :nth-child({model + 1})'
            names = texts(page, f'{picture} .box span')
            kinds = [name.partition(': ')[0] for name in names]
            numbers = [f'{kinds.count(k)} {k}' for k in KINDS if k in kinds]
            assert ', '.join(numbers) in text
            right = f'{picture} .box.right'
            number = len(page.find_elements(By.CSS_SELECTOR, right))
            assert text.startswith(f'{number} right')


@pytest.mark.parametrize(('model', 'value'), [(0, 5), (1, 83), (2, 100)])
def test_slider_moves_the_boxes_of_its_model(page, validation, model, value):
    before = texts(page, '#errors-pair .rates')

    move(page, f'errors-score-{model}', value)

    scores = dict.fromkeys(MODELS, 0.5) | {MODELS[model]: value / 100}
    expected = expect(validation, shown_name(page), scores)
    assert texts(page, '#errors-pair .summary') == expected
    right, _, errors, *_ = zip(*(text.split()[:3] for text in expected))
    assert texts(page, '#errors-thumbnails .count')[0] == (
        f'right: {" → ".join(right)}, errors: {" → ".join(errors)}'
    )
    judged = validation.models[model].judged
    ((num_right, found),) = judged.count_from(np.array([value / 100]))
    recall = num_right / len(judged.objects.labels)
    precision = f'{num_right / found:.2f}' if found else '-'
    text = f'all images: precision {precision}, recall {recall:.2f}'
    rates = texts(page, '#errors-pair .rates')
    assert rates[model] == text
    others = [n for n in range(len(MODELS)) if n != model]
    assert [rates[n] for n in others] == [before[n] for n in others]

    find(page, '#errors-reset').click()
    settle(page)
    assert texts(page, '#errors-pair .rates') == before


def test_groups_say_what_is_not_shown(page):
    names = texts(page, '#errors-groups span')
    assert names[-2:] == ['Wrong against the truth (25)', 'Random (25)']
    assert names[0].startswith('Better than supervised_long (')
    assert names[1].startswith('Worse than supervised_long (')

    page.find_elements(By.CSS_SELECTOR, '#errors-groups label')[-1].click()

    caption = find(page, '#errors-caption').text
    assert caption.endswith('(1 of 20, 5 more are not on this page)')
    assert len(texts(page, '#errors-thumbnails li')) == GROUP_SIZE


def test_first_images_are_those_that_changed_most(page):
    changes = []
    for text in texts(page, '#errors-thumbnails .count'):
        numbers = [*map(int, re.findall(r'\d+', text))]
        _, right, right_after, _, errors, errors_after = numbers
        assert right_after >= right
        assert errors_after <= errors
        changes.append(right_after - right + errors - errors_after)

    assert changes == sorted(changes, reverse=True)
    assert changes[-1] > 0


def test_keys_step_and_show_the_truth(page):
    stage = find(page, '#errors-stage')
    places = []
    for key in ('n', Keys.ARROW_RIGHT, 'p'):
        stage.send_keys(key)
        caption = find(page, '#errors-caption').text
        places.append(caption.rpartition('(')[2].split()[0])
    assert places == ['2', '3', '2']
    # The other gallery has not moved.
    assert '(1 of ' in find(page, '#caption').text
    true = '#errors-pair .box.true'
    assert not page.find_elements(By.CSS_SELECTOR, true)

    stage.send_keys('t')

    assert len(page.find_elements(By.CSS_SELECTOR, true)) == 3 * 4


def test_pointing_at_a_box_says_what_it_is(page):
    box = page.find_elements(By.CSS_SELECTOR, '#errors-pair .box')[-1]
    # Into a corner: the middle may be another's.
    width, height = box.size['width'], box.size['height']
    ActionChains(page).move_to_element_with_offset(
        box, 2 - width // 2, 2 - height // 2
    ).perform()

    tip = "return document.querySelector('.box:hover').dataset.tip"
    assert texts(page, '#tip') == [page.execute_script(tip)]


def test_errors_of_class_name_the_class(page):
    names = []
    for _ in range(5):
        names += texts(page, '#errors-pair .box span')
        find(page, '#errors-next').click()

    assert any(name.startswith('class: ') for name in names)
    for name in names:
        kind, _, label = name.partition(': ')
        assert label in (HOSTILE if kind in ('class', 'both') else [''])


def test_tips_say_what_each_box_is(page):
    tips = page.execute_script(
        """return [...document.querySelectorAll('#errors-pair .box')]
            .map(e => e.dataset.tip)"""
    )

    counted = ' '.join(texts(page, '#errors-pair .summary'))
    for words, tip in (
        ('right', ' · right'),
        *((kind, f' · error: {kind}') for kind in [*KINDS][:MISSED]),
        ('missed', 'missed: '),
    ):
        numbers = re.findall(rf'(\d+) {words}', counted)
        assert sum(map(int, numbers)) == sum(tip in one for one in tips)
    assert all(any(name in one for name in HOSTILE) for one in tips)
    # An error names the class of the object that is meant, if there is one.
    assert all(
        ('background' in one) != (', near a true ' in one)
        for one in tips
        if 'error: ' in one
    )


@pytest.mark.parametrize('width', [390, 1280])
def test_page_needs_no_scrolling_to_the_side(browser, file, width):
    page = opened(browser, file, width)

    left = [
        page.execute_script(
            'return arguments[0].getBoundingClientRect().left', element
        )
        for element in page.find_elements(
            By.CSS_SELECTOR, '#errors-pair > div'
        )
    ]

    scrolled = 'return document.documentElement.scrollWidth'
    assert page.execute_script(scrolled) == width
    colors = page.execute_script(
        """return [...document.querySelectorAll('#kinds .bars')].map(e =>
            [...e.querySelectorAll('.fill')]
            .map(f => getComputedStyle(f).backgroundColor))"""
    )
    assert all(len(set(of_kind)) == len(MODELS) for of_kind in colors)
    # Beside each other where there is room, otherwise one below the other.
    assert (left[0] == left[1]) == (width == 390)


def test_one_model_without_other_galleries(browser, validation, tmp_path):
    alone = Validation(
        validation.images,
        validation.classes,
        validation.folder,
        validation.models[:1],
        [],
    )
    source = write_selection(tmp_path / 'selection', 3)
    source.pseudo_labels.unlink()
    for shard in source.detections.glob('*.parquet'):
        shard.unlink()
    file = tmp_path / 'report.html'
    write_page(file, 'x', [], [], source, validation=alone)

    page = opened(browser, file)

    assert page.get_log('browser') == []
    assert len(texts(page, '#errors-pair .summary')) == 1
    assert not page.find_elements(By.ID, 'gallery')
    assert texts(page, '#errors-groups span')[0].startswith('Wrong')
