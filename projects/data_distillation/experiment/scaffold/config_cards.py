"""The docstrings of the stage configs of a new experiment."""

CARDS = dict(
    teacher="""Teacher: trained on the labeled images alone (paper, section 3).

This config sets the data, the detector and its schedule; the other stages
inherit them. `python tools/distill.py EXPERIMENT` runs all stages.

Detector: {detector}
""",
    annotate="""The teacher labels the unlabeled images (paper, section 3).

Command: python tools/test.py EXPERIMENT/annotate.py TEACHER.pth \\
    --work-dir {work_dir}
""",
    validate="""The teacher on the validation images, to judge annotate.py.

Command: python tools/test.py EXPERIMENT/validate.py TEACHER.pth \\
    --work-dir {work_dir}
""",
    tune="""The teacher on all candidate views of the validation images.

The views and the merger that find most are chosen for annotate.py.

Command: python tools/test.py EXPERIMENT/tune.py TEACHER.pth \\
    --work-dir {work_dir}
""",
    supervised_long="""Control: the teacher's data with the student's schedule.

It shows what the longer training alone gains; only the rest of the student's
gain comes from distillation.

Command: python tools/train.py EXPERIMENT/supervised_long.py
""",
    student="""Student: trained on true and pseudo labels (paper, section 4).

It starts from the initial weights, not from the teacher's. Run annotate.py
first.

Command: python tools/train.py EXPERIMENT/student.py
""",
    oracle="""Oracle: trained on all true labels, the upper bound.

Command: python tools/train.py EXPERIMENT/oracle.py
""",
)
# Those that differ in an experiment whose teacher is given.
GIVEN_CARDS = dict(
    supervised_long="""Control: trained on the labeled images alone.

This config sets the data, the detector of the student and its schedule; the
other stages inherit them. `python tools/distill.py EXPERIMENT` runs them all.

Detector: {detector}
""",
    given_teacher="""The teacher, which is trained already.

Nothing trains it. teacher.py and annotate.py read this file.
""",
    teacher="""Evaluates the teacher, which is given, on the validation images.

Command: python tools/test.py EXPERIMENT/teacher.py TEACHER.pth \\
    --work-dir {work_dir}
""",
)
