"""Which image a name means that a tool has written."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projects.data_distillation.files.image_names import ImageFinder

NAMES = [
    'cat 1.jpg', 'dog.JPG', 'Zoë.png', 'sub/bird.jpg', 'a/both.jpg',
    'b/both.jpg', 'b/c/both.jpg', '100%.jpg', 'a#1.jpg', 'twice.jpg',
    'Twice.jpg', 'x?y.jpg', '0a1b2c3d-fox.jpg', 'wolf.jpg', 'two.jpg',
    'two.png', 'scan.v2.tif', 'IMG 5 (1).jpeg', 'hen_jpg.rf.0a1b2c3d4e.jpg',
    'eel_png.rf.Aa1bCc2dEe.jpg', 'eel_png.rf.Ff1bCc2dEe.jpg', '.._x.jpg',
    '20240102-cam1.jpg', '00000002-cam2.jpg', 'bat.jpg',
]  # fmt: skip


@pytest.fixture(scope='module')
def finder(tmp_path_factory) -> ImageFinder:
    folder = tmp_path_factory.mktemp('images')
    for name in [*NAMES, '.hidden/cat 1.jpg', 'cat 1.txt', 'bad\udce9.jpg']:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return ImageFinder.of(folder)


@pytest.mark.parametrize(
    ('name', 'found'),
    [
        # Paths of other machines, and of other folders.
        ('images\\cat 1.jpg', ['cat 1.jpg']),
        ('..\\..\\media\\upload\\1\\cat 1.jpg', ['cat 1.jpg']),
        ('C:\\data\\images\\cat 1.jpg', ['cat 1.jpg']),
        ('\\\\server\\share\\cat 1.jpg', ['cat 1.jpg']),
        ('/home/me/images/cat 1.jpg', ['cat 1.jpg']),
        ('../images/cat 1.jpg', ['cat 1.jpg']),
        ('images/images/cat 1.jpg', ['cat 1.jpg']),
        ('./bird.jpg', ['sub/bird.jpg']),
        # URLs.
        ('https://host/bucket/cat%201.jpg', ['cat 1.jpg']),
        ('https://host/cat%201.jpg?X-Amz-Date=2024&s=1#top', ['cat 1.jpg']),
        ('/data/local-files/?d=images/cat%201.jpg', ['cat 1.jpg']),
        ('/data/local-files/?d=images\\cat 1.jpg', ['cat 1.jpg']),
        ('/data/local-files?d=x%2Fcat+1.jpg', ['cat 1.jpg']),
        ('/get?file=cat%201.jpg&size=3', ['cat 1.jpg']),
        ('s3://bucket/sub/bird.jpg', ['sub/bird.jpg']),
        ('file:///C:/images/bird.jpg', ['sub/bird.jpg']),
        ('http://[bad/bird.jpg', ['sub/bird.jpg']),
        # What looks like a URL and is the name.
        ('x/100%.jpg', ['100%.jpg']),
        ('x/a#1.jpg', ['a#1.jpg']),
        ('x/x?y.jpg', ['x?y.jpg']),
        # Another case, another Unicode form, the mark of Label Studio.
        ('dog.jpg', ['dog.JPG']),
        ('CAT 1.JPG', ['cat 1.jpg']),
        (unicodedata.normalize('NFD', 'x/Zoë.png'), ['Zoë.png']),
        ('Zo%C3%AB.png', ['Zoë.png']),
        ('upload/3/90c88f7c-wolf.jpg', ['wolf.jpg']),
        ('upload/3/0a1b2c3d-fox.jpg', ['0a1b2c3d-fox.jpg']),
        # Of several, the one in the folder that the name has.
        ('x/both.jpg', ['a/both.jpg', 'b/both.jpg', 'b/c/both.jpg']),
        ('/data/set/b/both.jpg', ['b/both.jpg']),
        ('C:\\set\\B\\both.jpg', ['b/both.jpg']),
        ('/b/c/both.jpg', ['b/c/both.jpg']),
        ('x/twice.jpg', ['twice.jpg']),
        ('x/TWICE.jpg', ['Twice.jpg', 'twice.jpg']),
        # Without a suffix, or with another one.
        ('cat 1', ['cat 1.jpg']),
        ('cat 1.png', ['cat 1.jpg']),
        ('images/CAT 1.TIFF', ['cat 1.jpg']),
        ('dog.heic', ['dog.JPG']),
        ('x/b/both', ['b/both.jpg']),
        ('cat 1.xml', ['cat 1.jpg']),
        ('scan.v2', ['scan.v2.tif']),
        ('scan.v2.png', ['scan.v2.tif']),
        ('cat 1.jpg.png', ['cat 1.jpg']),
        ('two', ['two.jpg', 'two.png']),
        ('two.bmp', ['two.jpg', 'two.png']),
        ('two.jpg', ['two.jpg']),
        ('90c88f7c-wolf.png', ['wolf.jpg']),
        ('scan.v3', []),
        ('scan', []),
        # Roboflow has renamed what is listed, or what is in the folder.
        ('dog_jpg.rf.0123456789abcdef0123456789abcdef.jpg', ['dog.JPG']),
        ('train/dog_JPG.rf.aBcDeFgH12.jpg', ['dog.JPG']),
        ('IMG-5-1-_jpeg.rf.0123456789abcdef.jpg', ['IMG 5 (1).jpeg']),
        ('two_png.rf.0123456789abcdef.jpg', ['two.jpg', 'two.png']),
        ('hen.jpg', ['hen_jpg.rf.0a1b2c3d4e.jpg']),
        ('hen_jpg.rf.0a1b2c3d4e.png', ['hen_jpg.rf.0a1b2c3d4e.jpg']),
        ('hen_jpg.rf.9999999999.jpg', ['hen_jpg.rf.0a1b2c3d4e.jpg']),
        ('eel.png', [
            'eel_png.rf.Aa1bCc2dEe.jpg', 'eel_png.rf.Ff1bCc2dEe.jpg']),
        # A date, and the number of a frame, tell images apart.
        ('20240101-cam1.jpg', []),
        ('0a1b2c3d-20240102-cam1.jpg', ['20240102-cam1.jpg']),
        ('cam1.jpg', []),
        ('19991231-bat.jpg', []),
        ('20241301-bat.jpg', ['bat.jpg']),
        ('00000001-cam2.jpg', []),
        ('0a1b2c3d-00000002-cam2.jpg', ['00000002-cam2.jpg']),
        ('cam2.jpg', ['00000002-cam2.jpg']),
        # Label Studio has replaced the space.
        ('upload/3/90c88f7c-cat_1.jpg', ['cat 1.jpg']),
        # Nobody has: another name.
        ('cat_1.jpg', []),
        ('IMG-5-1.jpeg', []),
        # Other files.
        ('cat.jpg', []),
        ('', []),
        ('/', []),
    ],
)  # fmt: skip
def test_image_is_found_by_the_last_part_of_its_name(finder, name, found):
    assert finder.find(name) == found


@pytest.mark.slow
@given(name=st.text() | st.text('/\\?#&=%.:[]ab0 ', max_size=20))
def test_any_text_may_be_asked_for(finder, name):
    assert set(finder.find(name)) <= set(NAMES)
