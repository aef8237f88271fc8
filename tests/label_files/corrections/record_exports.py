r"""Records what annotation tools make of a file that goes out.

Each tool's own package reads `exports/out.json`, its own objects are changed
as a person would, and its own writer writes them to `exports/`. The tests read
these files, so that they need none of the packages. To record them again:

    python -m venv tools && tools/bin/pip install label-studio-sdk==2.1.2 \
        datumaro==1.13.12 fiftyone==1.22.1 supervision==0.31.2 labelme==6.3.1
    tools/bin/python tests/label_files/corrections/record_exports.py

The change is the same in all: on 1.png, the first box moves by two pixels; on
2.png, the second one becomes red; on 3.png there is a new, green one. Images
and boxes come back in the reverse order where the tool lets them.
"""

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

EXPORTS = Path(__file__).with_name('exports')
OUT = EXPORTS / 'out.json'
NEW_XYWH = 2.0, 3.0, 10.0, 12.5


def record_label_studio(coco: dict, folder: Path) -> None:
    """Its converter makes tasks; annotations get ids of their own."""
    from label_studio_sdk.converter import Converter
    from label_studio_sdk.converter.imports.coco import convert_coco_to_ls

    file = folder / 'tasks.json'
    url = '/data/local-files/?d=images'
    convert_coco_to_ls(
        str(OUT), str(file), out_type='predictions', image_root_url=url
    )
    tasks = json.loads(file.read_text())[::-1]
    for number, task in enumerate(tasks, 81):
        (prediction,) = task['predictions']
        results = prediction['result']
        for one in results:
            one['id'] = f'r{one["id"][:8]}'
        name = task['data']['image'].rpartition('/')[2]
        if name == '1.png':
            results[0]['value']['x'] += 200 / results[0]['original_width']
        if name == '2.png':
            results[1]['value']['rectanglelabels'] = ['red']
        if name == '3.png':
            first = results[0]
            sides = first['original_width'], first['original_height']
            keys = zip(('x', 'y', 'width', 'height'), NEW_XYWH, sides * 2)
            value = {key: 100 * v / side for key, v, side in keys}
            value |= dict(rotation=0, rectanglelabels=['green'])
            results.append(dict(first, id='new', value=value))
        task |= dict(id=number, total_annotations=1, meta={})
        task['annotations'] = [
            dict(id=number + 9, was_cancelled=False, lead_time=4.2,
                 result=results[::-1], ground_truth=False),
        ]  # fmt: skip
    file.write_text(json.dumps(tasks))
    view = (folder / 'tasks.label_config.xml').read_text()
    converter = Converter(view, str(folder), download_resources=False)
    converter.convert_to_json(str(file), str(folder / 'out'), is_dir=False)
    shutil.copy(folder / 'out/result.json', EXPORTS / 'label_studio.json')


def record_datumaro(coco: dict, folder: Path) -> None:
    """The library that reads and writes COCO in CVAT."""
    import datumaro as dm

    annotations = folder / 'annotations'
    annotations.mkdir()
    shutil.copy(OUT, annotations / 'instances_default.json')
    data = dm.Dataset.import_from(str(folder), 'coco_instances')
    names = [one.name for one in data.categories()[dm.AnnotationType.label]]
    items = []
    for item in list(data)[::-1]:
        labels = sorted(item.annotations, key=lambda one: one.id)
        if item.id == '1':
            x, y, w, h = labels[0].get_bbox()
            label, number = labels[0].label, labels[0].id
            labels[0] = dm.Bbox(x + 2, y, w, h, label=label, id=number)
        if item.id == '2':
            labels[1] = labels[1].wrap(label=names.index('red'))
        if item.id == '3':
            green = names.index('green')
            labels.append(dm.Bbox(*NEW_XYWH, label=green, id=99, group=99))
        for label in labels:
            label.attributes['occluded'] = False
        items.append(item.wrap(annotations=labels[::-1]))
    changed = dm.Dataset.from_iterable(items, categories=data.categories())
    changed.export(str(folder / 'out'), 'coco_instances')
    (file,) = (folder / 'out/annotations').glob('*.json')
    shutil.copy(file, EXPORTS / 'datumaro.json')


def record_fiftyone(coco: dict, folder: Path) -> None:
    """Its importer and exporter, which need no database."""
    import fiftyone as fo
    from fiftyone.utils.coco import (
        COCODetectionDatasetExporter,
        COCODetectionDatasetImporter,
    )

    importer = COCODetectionDatasetImporter(
        data_path=str(folder / 'images'), labels_path=str(OUT)
    )
    exporter = COCODetectionDatasetExporter(
        export_dir=str(folder / 'out'), export_media=False,
        labels_path=str(EXPORTS / 'fiftyone.json'), abs_paths=False,
    )  # fmt: skip
    with importer:
        found = list(importer)[::-1]
    with exporter:
        for path, metadata, labels in found:
            detections = labels['detections'].detections[::-1]
            boxes = {'1.png': detections[-1], '2.png': detections[-2]}
            name = Path(path).name
            if name == '1.png':
                boxes[name].bounding_box[0] += 2 / metadata.width
            if name == '2.png':
                boxes[name].label = 'red'
            if name == '3.png':
                sides = (metadata.width, metadata.height) * 2
                box = [v / side for v, side in zip(NEW_XYWH, sides)]
                new = fo.Detection(label='green', bounding_box=box)
                detections.append(new)
            kept = fo.Detections(detections=detections)
            exporter.export_sample(path, kept, metadata)


def record_supervision(coco: dict, folder: Path) -> None:
    """The library of Roboflow."""
    import supervision as sv

    data = sv.DetectionDataset.from_coco(str(folder / 'images'), str(OUT))
    red, green = (data.classes.index(name) for name in ('red', 'green'))
    for path, found in data.annotations.items():
        name = Path(path).name
        if name == '1.png':
            found.xyxy[0, [0, 2]] += 2
        if name == '2.png':
            found.class_id[1] = red
        if name == '3.png':
            x, y, w, h = NEW_XYWH
            new = sv.Detections(
                np.array([[x, y, x + w, y + h]]), class_id=np.array([green])
            )
            found = sv.Detections(found.xyxy, class_id=found.class_id)
            data.annotations[path] = sv.Detections.merge([new, found])
    data.as_coco(annotations_path=str(EXPORTS / 'supervision.json'))


def record_labelme(coco: dict, folder: Path) -> None:
    """The format that X-AnyLabeling has too."""
    from labelme._label_file import write_label_file

    out = EXPORTS / 'labelme'
    out.mkdir(exist_ok=True)
    classes = {c['id']: c['name'] for c in coco['categories']}
    for image in coco['images']:
        name = image['file_name']
        boxes = [
            [list(one['bbox']), classes[one['category_id']]]
            for one in coco['annotations']
            if one['image_id'] == image['id']
        ]
        if name == '1.png':
            boxes[0][0][0] += 2
        if name == '2.png':
            boxes[1][1] = 'red'
        if name == '3.png':
            boxes.append([NEW_XYWH, 'green'])
        shapes = [
            dict(label=label, points=[[x + w, y + h], [x, y]], flags={},
                 shape_type='rectangle', group_id=None, description='')
            for (x, y, w, h), label in boxes[::-1]
        ]  # fmt: skip
        write_label_file(
            str(out / name.replace('.png', '.json')),
            shapes=shapes,
            image_path=f'..\\images\\{name}',
            image_height=image['height'],
            image_width=image['width'],
        )


def main() -> None:
    """Record the exports of all tools."""
    coco = json.loads(OUT.read_text())
    for record in (
        record_label_studio,
        record_datumaro,
        record_fiftyone,
        record_supervision,
        record_labelme,
    ):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / 'images').mkdir()
            for image in coco['images']:
                size_wh = image['width'], image['height']
                file = folder / 'images' / image['file_name']
                Image.new('RGB', size_wh).save(file)
            record(coco, folder)


if __name__ == '__main__':
    main()
